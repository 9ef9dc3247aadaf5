// How much of what all weights learn a way of low rank learns: a model of real TinyStories is given 200 KB of
// stories as answers, and is asked about others. All weights and low rank have three rates each, and the best
// one counts. TinyStories lie in ../shared/tinystories, or in CHAPBOOK_SHARED. Runs that are done stay in the
// directory for temporary files, so an experiment that was stopped goes on where it was.
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "apps/run/fine_tuning.h"
#include "data/split.h"
#include "docs/experiment/asked.h"
#include "docs/tool/results.h"
#include "docs/tool/shell.h"
#include "nn/adapt.h"
#include "tensor/check.h"
#include "tensor/files.h"

using namespace chapbook;
namespace fs = std::filesystem;

static const fs::path place = fs::temp_directory_path() / "chapbook-lora";
static constexpr const char* base =
    "--preset tiny --precision bf16 --set steps=1500 --set rate=3e-3 --set eval_every=500 --set "
    "eval_batches=10 --set sample_every=0";
static constexpr const char* tuning =
    "--precision bf16 --set batch=8 --set steps=200 --set warmup=20 --set eval_every=50 --set sample_every=0";

static constexpr const char* low_rank = " --set learn=lora --set lora_rank=2 --set lora_alpha=4";

static Json train(const std::string& run, const std::string& arguments) {
  if (fs::exists(place / run / "results.json")) return read_json(place / run / "results.json");
  const fs::path program = fs::canonical("/proc/self/exe").parent_path().parent_path() / "chapbook";
  fs::remove_all(place / run);
  const Ran ran =
      run_shell(fmt::format("{} train {} --run {}", program.string(), arguments, (place / run).string()));
  check(ran.code == 0, "train {} ends with {}:\n{}", arguments, ran.code, ran.output);
  return read_json(place / run / "results.json");
}

// Of the stories that the base was validated on: some to learn from, others to be asked about, and others
// again as they are, to see what is forgotten.
static void write_texts(const std::string& stories) {
  struct Text {
    const char* name;
    size_t bytes;
    bool asked;
    std::string text = {};
  };
  Text texts[] = {{"asked.txt", 200'000, true}, {"unseen.txt", 40'000, true}, {"old.txt", 100'000, false}};
  size_t now = 0;
  read_stories(stories, [&](std::string_view story, bool) {
    if (now == std::size(texts)) return;
    Text& to = texts[now];
    const Question question = question_about(std::string(story));
    to.text += to.asked ? question.text + question.answer : std::string(story);
    to.text += fmt::format("\n{}\n", story_separator);
    if (to.text.size() >= to.bytes) ++now;
  });
  check(now == std::size(texts), "{} has too few stories", stories);
  for (const Text& each : texts) write_file((place / each.name).string(), each.text);
}

static int64_t count_of_learning(const std::string& run) {
  Settings settings;
  read_settings_file(settings, (place / run / "settings.json").string());
  const std::unique_ptr<LanguageModel> model = load_network((place / run / "last").string());
  choose_what_learns(*model, settings);
  int64_t learning = 0;
  for (const Parameter& each : learning_parameters(*model)) learning += each.variable.value().count();
  return learning;
}

// Of the rates, the one that ends with the fewest bits.
static Json best_of(const std::string& way, const std::string& arguments, const std::vector<double>& rates) {
  Json best, tried = Json::array();
  for (const double rate : rates) {
    const std::string name = fmt::format("{}-{}", way, rate);
    const Json run = train(name, fmt::format("{} --set rate={}", arguments, rate));
    const double bits = run["valid_bits_per_byte"];
    tried.push_back({{"rate", rate}, {"bits", bits}});
    fmt::print("{:<12} {:.4f} bits a byte\n", name, bits);
    std::fflush(stdout);
    if (!best.is_null() && best["bits"] <= bits) continue;
    best = {{"learning", count_of_learning(name)},
            {"rate", rate},
            {"bits", bits},
            {"old_after", run["begun_from"]["loss_after"]}};
  }
  best["tried"] = tried;
  return best;
}

int main() {
  Results results("lora", {"nn/adapt.cpp", "nn/linear.h", "apps/run/fine_tuning.cpp"});
  const char* given = std::getenv("CHAPBOOK_SHARED");
  const fs::path shared = given ? fs::path(given) : fs::path("../shared"), stories = shared / "tinystories";
  check(fs::exists(stories / "train.txt"), "there are no TinyStories in {}; CHAPBOOK_SHARED says where",
        stories.string());
  fs::create_directories(place);
  const std::string valid = (stories / "valid.txt").string();
  const Json began =
      train("base", fmt::format("{} --data {} --valid {}", base, (stories / "train.txt").string(), valid));
  write_texts(valid);
  const std::string data = fmt::format(
      "--from {0}/base --data {0}/asked.txt --valid {0}/unseen.txt "
      "--old-text {0}/old.txt {1}",
      place.string(), tuning);
  const Json before = train("before", data + " --set steps=1 --set rate=1e-12");  // moves nothing
  const auto parameters = began["parameters"].get<double>();
  const double bits_before = before["valid_bits_per_byte"];
  results.configuration = {
      {"base", fmt::format("./chapbook train {} --data train.txt --valid valid.txt", base)},
      {"tuning", fmt::format("./chapbook train --from RUN --data asked.txt {}", tuning)}};
  results.values = {{"parameters", began["parameters"]},
                    {"base_loss", began["valid_loss"]},
                    {"before", bits_before},
                    {"old_before", before["begun_from"]["loss_before"]},
                    {"all", best_of("all", data, {1e-4, 3e-4, 1e-3})},
                    {"lora", best_of("lora", data + low_rank, {3e-3, 1e-2, 3e-2})}};
  for (const char* way : {"all", "lora"}) {
    Json& values = results.values[way];
    values["gain"] = (bits_before - values["bits"].get<double>()) /
                     (bits_before - results.values["all"]["bits"].get<double>());
    values["share"] = values["learning"].get<double>() / parameters;
  }
  results.write();
}
