// The page on fine-tuning: a storyteller learns the pages of this book, with all its weights, its last block
// or ways of low rank; what it forgets of stories; and stories on demand, with and without the question
// counted.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/run/evaluation.h"
#include "apps/run/fine_tuning.h"
#include "apps/run/generator.h"
#include "apps/run/metrics.h"
#include "data/answers.h"
#include "data/stories.h"
#include "docs/experiment/asked.h"
#include "docs/tool/results.h"
#include "docs/tool/shell.h"
#include "nn/adapt.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/ops.h"

using namespace chapbook;
namespace fs = std::filesystem;

static const fs::path place = fs::temp_directory_path() / "chapbook-fine-tuning";
static constexpr const char* sizes =
    "--set layers=2 --set heads=4 --set width=64 --set context=64 --set vocabulary=512 ";
static constexpr const char* watching = "--set warmup=30 --set eval_every=30 --set sample_every=0 ";

static Json train(const std::string& run, const std::string& arguments) {
  const std::string program =
      (fs::canonical("/proc/self/exe").parent_path().parent_path() / "chapbook").string();
  const Ran ran = run_shell(fmt::format("{} train {} --run {}", program, arguments, (place / run).string()));
  check(ran.code == 0, "train {} ends with {}:\n{}", arguments, ran.code, ran.output);
  const Json results = read_json(place / run / "results.json");
  fmt::print("{:<10} valid {:.4f}\n", run, results["valid_loss"].get<double>());
  std::fflush(stdout);
  return results;
}

static std::string text_of_pages(const std::vector<std::string>& pages, size_t bytes) {
  std::string text;
  for (const std::string& page : pages)
    text += read_file(std::string(CHAPBOOK_SOURCE_DIR) + "/docs/" + page) + "\n<|endoftext|>\n";
  check(text.size() >= bytes, "the pages have {} bytes, not {}", text.size(), bytes);
  return text.substr(0, bytes);
}

// ---- other text

static double bits_of(const std::string& model, const std::string& text) {
  const Model opened = load_model(place / model);
  const EvaluationText valid = evaluation_text(text, opened.tokenizer);
  return bits_per_byte(evaluate(*opened.network, valid.tokens), static_cast<int64_t>(valid.tokens.size()),
                       valid.bytes);
}

static void other_text(Results& results) {
  const std::string text = place / "book.txt", unseen = place / "unseen.txt";
  write_file(text, text_of_pages({"00-the-map.md", "01-floats.md", "02-tensors.md", "03-elementwise.md",
                                  "04-softmax.md", "05-matmul.md", "06-backends.md"},
                                 200'000));
  write_file(unseen, text_of_pages({"10-attention.md"}, 30'000));
  const std::string data = fmt::format("--data {} --valid {} --set steps=200 ", text, unseen);
  results.values["before"] = bits_of("base", unseen);

  Plot plot{"Learning 200 KB of this book", "step", "bits per byte, pages not seen", false, false, {}};
  struct Way {
    const char *key, *name, *more;
  };
  for (const Way& way :
       {Way{"fresh", "a fresh model", ""},
        {"all", "all weights", "--set rate=0.002"},
        {"last", "the last block", "--set learn=last --set rate=0.002"},
        {"lora", "LoRA, rank 1", "--set learn=lora --set lora_rank=1 --set lora_alpha=2 --set rate=0.01"}}) {
    const bool fresh = way.more[0] == '\0';
    const Json run =
        train(way.key, fmt::format("{}{}{}{}", data, watching,
                                   fresh ? sizes : "--from " + (place / "base").string() + " ", way.more));
    const double bits = run["valid_bits_per_byte"];
    Json& here = results.values[way.key];
    here["bits"] = bits;
    Line line{way.name, {}, {}};
    const Metrics metrics = read_metrics(place / way.key / "metrics.csv");
    const double factor = bits / run["valid_loss"].get<double>();  // from nats a token to bits a byte
    for (size_t i = 0; i < metrics["step"].size(); ++i)
      if (const double loss = metrics["valid_loss"][i]; !std::isnan(loss))
        line.x.push_back(metrics["step"][i]), line.y.push_back(loss * factor);
    plot.lines.push_back(line);
    if (fresh) continue;
    here["old_before"] = run["begun_from"]["loss_before"],
    here["old_after"] = run["begun_from"]["loss_after"];
    const std::unique_ptr<LanguageModel> model = load_network(place / way.key / "last");
    Settings settings;
    settings.learn = std::string(way.key);
    choose_what_learns(*model, settings);
    int64_t learning = 0;
    for (const Parameter& each : learning_parameters(*model)) learning += each.variable.value().count();
    here["learning"] = learning;
    if (settings.learn != "lora") continue;
    // Merged and not merged are one model.
    const Model apart = load_model(place / way.key);
    const std::unique_ptr<LanguageModel> merged = load_network(model_directory(place / way.key));
    merge_low_rank(*merged);
    const std::vector<int32_t> ids = evaluation_text(unseen, apart.tokenizer).tokens;
    const Tensor tokens = Tensor::from(std::vector<int32_t>(ids.begin(), ids.begin() + 64), {1, 64});
    const Tensor a = (*apart.network)(tokens).value(), b = (*merged)(tokens).value();
    here["merged_apart"] = max(abs(a - b)).item() / max(abs(a)).item();
  }
  results.values["parameters"] = count_parameters(*load_network(place / "base/best"));
  results.figure("fine-tuning", plot);
}

// ---- stories on demand

static std::vector<Question> questions(uint64_t first, uint64_t count) {
  std::vector<Question> all;
  for (uint64_t i = 0; i < count; ++i) all.push_back(question_about(built_in_stories().story(1, first + i)));
  return all;
}

// The share of the words asked for that come in the story.
static double words_that_come(const Model& model, const std::vector<Question>& asked) {
  double found = 0, all = 0;
  for (const Question& each : asked) {
    const std::string story = tell(*model.network, model.tokenizer, each.text, {.seed = 1, .tokens = 60});
    for (const std::string& word : each.words) found += story.find(word) != std::string::npos, ++all;
  }
  return found / all;
}

static double loss_of_answers(const Model& model, const std::string& text) {
  const EvaluationText valid = evaluation_text(text, model.tokenizer);
  std::vector<uint16_t> ids(valid.tokens.begin(), valid.tokens.end());
  const std::vector<bool> counted =
      answers(ids, model.tokenizer.encode("Story:"), model.tokenizer.end_of_text());
  return evaluate(*model.network, valid.tokens, {.counted = &counted}).loss;
}

static void on_demand(Results& results) {
  const std::string text = place / "asked.txt", unseen = place / "asked_unseen.txt";
  const auto write = [](const std::string& path, const std::vector<Question>& all) {
    std::string lines;
    for (const Question& each : all) lines += each.text + each.answer + "\n<|endoftext|>\n";
    write_file(path, lines);
  };
  const std::vector<Question> asked = questions(200'100, 40);
  write(text, questions(100'000, 800));
  write(unseen, questions(200'000, 100));
  Json& values = results.values["asked"];
  const auto measure = [&](const char* key) {
    const Model model = load_model(place / key);
    values[key] = {{"answers", loss_of_answers(model, unseen)}, {"words", words_that_come(model, asked)}};
    fmt::print("{}: {}\n", key, values[key].dump());
  };
  measure("base");
  const std::string data = fmt::format("--data {} --valid {} --from {} --set steps=200 --set rate=0.002 ",
                                       text, unseen, (place / "base").string());
  train("everything", data + watching);
  measure("everything");
  train("answers", data + watching + "--set answer_after=Story:");
  measure("answers");
  values["question"] = asked[0].text;
  const Model model = load_model(place / "answers");
  values["story"] = tell(*model.network, model.tokenizer, asked[0].text, {.seed = 1, .tokens = 60});
}

int main() {
  Results results("fine_tuning", {"apps/run/fine_tuning.cpp", "nn/adapt.cpp", "nn/linear.h",
                                  "data/answers.cpp", "data/stories.cpp", "apps/run/trainer.cpp"});
  fs::remove_all(place);
  fs::create_directories(place);
  const std::string base =
      fmt::format("--stories 2000 {}{}--set steps=600 --set rate=0.004", sizes, watching);
  results.configuration = {{"base", "./chapbook train " + base}};
  results.values["base_loss"] = train("base", base)["valid_loss"];
  other_text(results);
  on_demand(results);
  results.write();
}
