// Training that begins with a model that is there: what it learns, what it keeps, what it leaves behind for
// other programs, and that it can be stopped and gone on with.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/run/adapter.h"
#include "apps/run/family.h"
#include "apps/run/metrics.h"
#include "apps/run/run.h"
#include "data/answers.h"
#include "data/new_words.h"
#include "nn/adapt.h"
#include "tensor/files.h"
#include "tensor/safetensors.h"
#include "tests/apps/program.h"
#include "tests/nn/models.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

volatile std::sig_atomic_t never = 0;
void no_one(std::string_view) {}

const std::string golden = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/peft/";

// A run of a second from built-in stories, to begin from.
RunOptions small_run(const std::string& directory, const std::string& family = "gpt2") {
  RunOptions options{.directory = directory, .stories = 200};
  Settings& s = options.settings;
  set(s, "family", family);
  s.layers = 2, s.heads = 2, s.width = 32, s.context = 16, s.vocabulary = 400, s.batch = 8, s.steps = 60;
  s.warmup = 5, s.rate = 1e-2, s.eval_every = 30, s.eval_batches = 4, s.save_every = 0, s.sample_every = 0;
  return options;
}

RunOptions tuned_from(const std::string& from, const std::string& directory, const std::string& learn) {
  RunOptions options = small_run(directory);
  options.from.from = from;
  options.settings.learn = learn, options.settings.lora_rank = 2, options.settings.rate = 3e-3;
  return options;
}

// Other text than the built-in stories.
void write_other_text(const std::string& path) {
  std::string text;
  for (int i = 0; i < 400; ++i)
    text += fmt::format("Line {} of the log: the valve {} is {}.\n<|endoftext|>\n", i * 7 % 100,
                        "ABCDEF"[i % 6], i % 3 == 0 ? "open" : "closed");
  write_file(path, text);
}

Tensor some_tokens() {
  std::vector<int32_t> ids;
  for (int i = 0; i < 32; ++i) ids.push_back(i * 11 % 300);
  return Tensor::from(ids, {2, 16});
}

}  // namespace

TEST_CASE("adapters that PEFT wrote give PEFT's logits, and are written again as they were") {
  for (const std::string name : {"gpt2", "llama"}) {
    CAPTURE(name);
    const std::string directory = golden + name;
    const NamedTensors of = load_tensors(directory + "/golden.safetensors").tensors;
    const std::map<std::string, Tensor> numbers(of.begin(), of.end());
    const std::unique_ptr<LanguageModel> model = load_network(directory);
    CHECK(relative_error((*model)(numbers.at("tokens")).value(), numbers.at("logits")) <= 1e-5);
    const TemporaryDirectory copy;
    save_adapter(*model, "elsewhere", copy.path);
    const auto sorted = [](const std::string& path) {
      std::map<std::string, std::vector<float>> all;
      for (const auto& [key, tensor] : load_tensors(path + "/adapter_model.safetensors").tensors)
        all[key] = tensor.to_vector<float>();
      return all;
    };
    CHECK(sorted(copy.path) == sorted(directory));
    merge_low_rank(*model);
    CHECK(relative_error((*model)(numbers.at("tokens")).value(), numbers.at("logits")) <= 1e-5);
  }
}

// PEFT has opened the files in peft/ours and computed these logits (tests/golden/peft_adapters.py); what is
// saved now has the same bytes.
TEST_CASE("PEFT gives our logits with an adapter of ours") {
  for (const auto& [name, base] :
       {std::pair<std::string, std::string>{"gpt2", "gpt2/with_bias"}, {"llama", "llama/grouped"}}) {
    CAPTURE(name);
    const std::unique_ptr<LanguageModel> model = load_network(golden + "../" + base);
    Random random{1};
    add_low_rank(*model, {.rank = 3, .alpha = 5}, random, [](const std::string&) { return true; });
    int64_t next = 0;
    for (const Parameter& each : learning_parameters(*model)) {
      std::vector<float> numbers(static_cast<size_t>(each.variable.value().count()));
      for (float& number : numbers) number = static_cast<float>(next++ * 37 % 101 - 50) / 256;
      const Tensor to = each.variable.value();
      to.backend().copy(Tensor::from(numbers, to.shape()).view(), to.view());
    }
    const TemporaryDirectory copy;
    const char* kept = std::getenv("CHAPBOOK_ADAPTERS");  // to write peft/ours anew
    const std::string to = kept ? std::string(kept) + "/" + name : copy.path, there = golden + "ours/" + name;
    fs::create_directories(to);
    save_adapter(*model, "../../../" + base, to);
    if (kept) continue;
    for (const char* file : {"/adapter_config.json", "/adapter_model.safetensors"})
      CHECK(read_file(to + file) == read_file(there + file));
    const NamedTensors of = load_tensors(there + "/golden.safetensors").tensors;
    const std::map<std::string, Tensor> numbers(of.begin(), of.end());
    CHECK(relative_error((*model)(numbers.at("tokens")).value(), numbers.at("logits")) <= 1e-6);
    CHECK(relative_error((*load_network(there))(numbers.at("tokens")).value(), numbers.at("logits")) <= 1e-6);
  }
}

TEST_CASE("adapters that Chapbook does not do, or that fit another model, are refused in one line") {
  const TemporaryDirectory directory;
  for (const char* file : {"/adapter_config.json", "/adapter_model.safetensors"})
    fs::copy_file(golden + "gpt2" + file, directory.path + file);
  const std::string path = directory / "adapter_config.json";
  auto good = nlohmann::ordered_json::parse(read_file(path));
  good["base_model_name_or_path"] = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/gpt2/with_bias";
  const auto refused = [&](const nlohmann::ordered_json& change, const std::string& why) {
    auto config = good;
    config.update(change);
    write_file(path, config.dump());
    CHECK_THROWS_WITH_AS(load_network(directory.path), doctest::Contains(why.c_str()), Error);
  };
  refused({{"peft_type", "IA3"}}, "'peft_type' is \"IA3\"; Chapbook only knows \"LORA\"");
  refused({{"use_dora", true}}, "'use_dora'");
  refused({{"use_rslora", true}}, "'use_rslora'");
  refused({{"modules_to_save", {"wte"}}}, "'modules_to_save'");
  refused({{"rank_pattern", {{"c_attn", 8}}}}, "only knows one rank for all");
  refused({{"r", 4}}, "misshapen: base_model.model.transformer.h.0.attn.c_attn.lora_A.weight");
  refused({{"base_model_name_or_path", "some/model"}}, "is not here");
  refused({{"base_model_name_or_path", std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/llama/grouped"}},
          "no product is to have");
  refused({{"base_model_name_or_path", std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/gpt2/no_bias"}}, "");
  fs::remove(directory / "adapter_model.safetensors");
  refused(nlohmann::ordered_json::object(), "has no adapter_model.safetensors, the adapter's weights");
  write_file(directory / "adapter_model.bin", "PK");
  refused(nlohmann::ordered_json::object(),
          "its weights are in adapter_model.bin, and Chapbook reads adapter_model.safetensors");
}

TEST_CASE(
    "a model learns other text, by all its weights, its last blocks, or low rank, and resumes bit for bit") {
  const TemporaryDirectory directory;
  const std::string text = directory / "other.txt";
  write_other_text(text);
  for (const std::string family : {"gpt2", "llama"}) {
    const std::string from = directory / family;
    const auto source = Run::start(small_run(from, family), no_one);
    source->train(never);
    const double before = [&] {
      const Model model = load_model(from);
      return evaluate(*model.network, evaluation_text(text, model.tokenizer).tokens).loss;
    }();
    for (const std::string learn : {"all", "last", "lora"}) {
      CAPTURE(family);
      CAPTURE(learn);
      const std::string whole = from + "-" + learn, parts = whole + "-parts";
      RunOptions options = tuned_from(from, whole, learn);
      options.data = text;
      const auto run = Run::start(options, no_one);
      run->train(never);
      run->finish();
      const auto results = nlohmann::json::parse(read_file(whole + "/results.json"));
      CHECK(results.at("valid_loss") < (learn == "all" ? 0.8 * before : before - 0.1));
      const auto& old = results.at("begun_from");
      CHECK(old.at("loss_before") < old.at("loss_after"));  // something is forgotten

      options.directory = parts;
      volatile std::sig_atomic_t soon = 0;
      int evaluations = 0;
      Run::start(options, [&](std::string_view line) {
        if (line.starts_with("step ") && ++evaluations == 1) soon = 1;
      })->train(soon);
      const auto resumed = Run::resume(parts, no_one);
      CHECK(resumed->trainer().steps() == 30);
      resumed->train(never);
      const std::string weights = learn == "lora" ? "/adapter_model.safetensors" : "/model.safetensors";
      for (const std::string& name :
           {"/last" + weights, std::string("/last/optimizer.safetensors"), "/best" + weights})
        CHECK_MESSAGE(read_file(whole + name) == read_file(parts + name), name);

      // Two numbers of state for each that learns, and no other.
      const std::unique_ptr<LanguageModel> model = load_network(whole + "/last");
      choose_what_learns(*model, options.settings);
      int64_t learning = 0, states = 0;
      for (const Parameter& each : learning_parameters(*model)) learning += each.variable.value().count();
      for (const auto& [name, tensor] : run->trainer().optimizer_state()) states += tensor.count();
      CHECK(states == 2 * learning);
      CHECK((learning < count_parameters(*model) / 2) == (learn != "all"));
      // What does not learn is as it was.
      const NamedTensors now = state(*model), then = state(*load_network(whole + "/base"));
      for (const Parameter& each : parameters(*model))
        for (const auto& [name, tensor] : then)
          if (name == each.name && !each.variable.wants_gradient())
            CHECK(tensor.to_vector<float>() == each.variable.value().to_vector<float>());
    }
    // Merged and not merged are one model.
    const std::unique_ptr<LanguageModel> apart = load_network(from + "-lora/best"),
                                         merged = load_network(from + "-lora/best");
    REQUIRE(has_low_rank(*apart));
    merge_low_rank(*merged);
    CHECK(relative_error((*merged)(some_tokens()).value(), (*apart)(some_tokens()).value()) <= 1e-6);
  }
}

static void words_are_added(const std::vector<std::string>& settings) {
  const TemporaryDirectory directory;
  const std::string from = directory / "source", to = directory / "tuned", words = directory / "words";
  RunOptions first = small_run(from);
  for (const std::string& setting : settings) set(first.settings, setting);
  Run::start(first, no_one)->train(never);
  write_file(words, "Zorblax\nvalve\n\n Zorblaxian\n");
  write_other_text(directory / "other.txt");
  RunOptions options = tuned_from(from, to, "all");
  options.from.words = words, options.data = directory / "other.txt";
  Run::start(options, no_one);
  const Model before = load_model(from), after = load_model(to + "/base");
  for (const char* word : {" Zorblax", " valve", " Zorblaxian"}) {
    CAPTURE(word);
    CHECK(before.tokenizer.encode(word).size() > 1);
    CHECK(after.tokenizer.encode(word).size() == 1);
    CHECK(after.tokenizer.decode(after.tokenizer.encode(word)) == word);
  }
  CHECK(after.tokenizer.end_of_text() == before.tokenizer.end_of_text());
  CHECK(after.network->vocabulary() == after.tokenizer.vocabulary_size());
  const NamedTensors old = state(*before.network), grown = state(*after.network);
  for (size_t i = 0; i < old.size(); ++i) {
    const Tensor now = grown[i].second;
    CHECK(now.slice(0, 0, old[i].second.size(0)).to_vector<float>() == old[i].second.to_vector<float>());
    const auto& tables = family(after.network->family()).tables;
    CHECK((now.size(0) > old[i].second.size(0)) ==
          (std::find(tables.begin(), tables.end(), old[i].first) != tables.end()));
  }
  // A new row is the mean of the rows of its parts.
  const int64_t id = after.tokenizer.encode(" valve")[0];
  const std::vector<int32_t> parts = before.tokenizer.encode(" valve");
  const Tensor row = grown[0].second.slice(0, id, id + 1);
  Tensor sum = Tensor::zeros(row.shape());
  for (const int32_t part : parts) sum = sum + old[0].second.slice(0, part, part + 1);
  CHECK(relative_error(row * static_cast<double>(parts.size()), sum) <= 1e-6);
  CHECK_THROWS_WITH_AS(with_words(before.tokenizer, {" two words"}),
                       "' two words' is not one word: the tokenizer cuts it", Error);
}

TEST_CASE("what ended the texts of the model at the beginning still ends them, and so does what ended ours") {
  const TemporaryDirectory directory;
  const std::string from = directory / "source", to = directory / "tuned";
  Run::start(small_run(from), no_one)->train(never);
  const std::string generation = from + "/best/generation_config.json";
  Json json = parse_json(read_file(generation));
  const int32_t end = json.at("eos_token_id");
  json["eos_token_id"] = {7, 11};
  write_file(generation, json.dump());
  RunOptions options = tuned_from(from, to, "all");
  options.settings.steps = 2;
  Run::start(options, no_one)->train(never);
  Run::resume(to, no_one)->train(never);
  for (const char* name : {"/best", "/last"})
    CHECK(load_model(to + name).ends == std::vector<int32_t>{7, 11, end});
}

TEST_CASE("ways of low rank are beside attention's products, the MLP's, or all, in every family") {
  using Names = std::vector<std::string>;
  const std::map<std::string, std::map<std::string, Names>> expected = {
      {"gpt2", {{"attention", {"c_attn", "c_proj"}}, {"mlp", {"c_fc", "c_proj"}}}},
      {"llama",
       {{"attention", {"q_proj", "k_proj", "v_proj", "o_proj"}},
        {"mlp", {"gate_proj", "up_proj", "down_proj"}}}}};
  for (const auto& [name, products] : expected)
    for (const std::string which : {"attention", "mlp", "all"}) {
      CAPTURE(name);
      CAPTURE(which);
      Settings settings = small_run("", name).settings;
      settings.learn = "lora", settings.lora_products = which, settings.lora_rank = 2;
      const std::unique_ptr<LanguageModel> model = make_model(settings);
      choose_what_learns(*model, settings);
      Names found, wanted;
      for_each_linear(*model, [&](const std::string& product, const Linear& linear) {
        if (product.find(".0.") == std::string::npos) return;  // the first block stands for the others
        if (linear.lora_A) found.push_back(product.substr(product.rfind('.') + 1));
      });
      for (const std::string part : {"attention", "mlp"})
        if (which == "all" || which == part)
          wanted.insert(wanted.end(), products.at(part).begin(), products.at(part).end());
      CHECK(found == wanted);
    }
}

TEST_CASE("new words are one token each; old tokens and their rows stay bit for bit") {
  words_are_added({});
  words_are_added({"family=llama"});
  words_are_added({"family=llama", "tied=false"});
}

TEST_CASE("only answers count, where that is asked for") {
  // Stories 5 7 9 | 8 4 0 and 6 0; the answer comes after 7 9.
  const std::vector<uint16_t> tokens = {5, 7, 9, 8, 4, 0, 6, 0, 7, 7, 9, 3};
  const std::vector<int32_t> marker = {7, 9};
  const std::vector<bool> counted = answers(tokens, marker, 0);
  CHECK(counted == std::vector<bool>{0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1});
  const std::vector<int32_t> nowhere = {9, 7};
  CHECK_THROWS_AS(answers(tokens, nowhere, 0), Error);

  std::vector<int32_t> inputs(6), targets(6);
  const EvaluationLoader evaluation(tokens, 1, 6, 0, &counted);
  CHECK(evaluation.batch(0, inputs, targets) == 3);
  CHECK(targets == std::vector<int32_t>{-100, -100, 8, 4, 0, -100});
  CHECK(evaluation.batch(1, inputs, targets) == 1);
  Loader loader(tokens, 1, 6, {.seed = 1}, &counted);
  for (int i = 0; i < 20; ++i) {
    loader.next(inputs, targets);
    for (size_t t = 0; t < 6; ++t)
      CHECK((targets[t] == -100 || targets[t] == 8 || targets[t] == 4 || targets[t] == 0 || targets[t] == 3));
  }

  const TemporaryDirectory directory;
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += fmt::format("Words: {} {}\nStory:\nThe {} was red.\n<|endoftext|>\n", i * 37 % 101, i * 53 % 97,
                        i % 2 ? "fox" : "dog");
  write_file(directory / "questions.txt", text);
  RunOptions options = small_run(directory / "run");
  options.data = directory / "questions.txt", options.settings.answer_after = "Story:";
  const auto run = Run::start(options, no_one);
  run->train(never);
  run->finish();
  const auto results = nlohmann::json::parse(read_file(directory / "run/results.json"));
  CHECK(results.at("valid_loss") <
        0.5);  // the numbers of the question cannot be learned; one of two words is left
  // A batch without an answer has no loss, and is no sign of a mistake, even if it is the first.
  std::string rare;
  for (int i = 0; i < 300; ++i)
    rare += fmt::format("Words: {} {}\n<|endoftext|>\n", i * 37 % 101, i * 53 % 97);
  write_file(directory / "rare.txt", rare + text.substr(0, text.find('<')));
  RunOptions seldom = options;
  seldom.directory = directory / "seldom", seldom.data = seldom.valid = directory / "rare.txt";
  seldom.settings.steps = 2;
  Run::start(seldom, no_one)->train(never);
  CHECK(load_last(seldom.directory).state.best_loss > 1);  // so batches that have one are evaluated
  options.directory = directory / "other", options.settings.answer_after = "Tale:";
  CHECK_THROWS_WITH_AS(Run::start(options, no_one), doctest::Contains("answer_after=Tale:"), Error);
  CHECK_FALSE(fs::exists(directory / "other"));
}

TEST_CASE("dropout is a way to train the model that is there, and a resumed run keeps it") {
  const TemporaryDirectory directory;
  RunOptions source = small_run(directory / "source");
  source.settings.dropout = 0.1, source.settings.steps = 2;
  Run::start(source, no_one)->train(never);
  const auto loss = [&](const std::string& name, std::optional<double> dropout) {
    RunOptions options = tuned_from(directory / "source", directory / name, "all");
    options.from.dropout = dropout, options.settings.steps = 2, options.settings.warmup = 0;
    const auto run = Run::start(options, no_one);
    run->train(never);
    const auto settings =
        nlohmann::json::parse(read_file(directory / (name + "/settings.json"))).at("dropout").get<double>();
    CHECK(settings == dropout.value_or(0.1));
    const auto config = nlohmann::json::parse(read_file(directory / (name + "/last/config.json")));
    CHECK(config.at("resid_pdrop") == dropout.value_or(0.1));  // what the model says of itself
    return read_metrics(directory / (name + "/metrics.csv"))["loss"].front();
  };
  const double own = loss("own", {}), none = loss("none", 0.0), much = loss("much", 0.6);
  CHECK(loss("same", 0.1) == own);
  CHECK(none != own);
  CHECK(much != own);
  CHECK(much > none);  // half of the model is not there
  // As it goes on it still drops so many: the same step has the same loss as in a run without a break.
  RunOptions options = tuned_from(directory / "source", directory / "whole", "all");
  options.from.dropout = 0.6, options.settings.steps = 4, options.settings.save_every = 2;
  Run::start(options, no_one)->train(never);
  options.directory = directory / "parts", options.settings.eval_every = 2;
  volatile std::sig_atomic_t soon = 0;
  Run::start(options, [&](std::string_view line) { soon = soon || line.starts_with("step "); })->train(soon);
  const auto resumed = Run::resume(directory / "parts", no_one);
  CHECK(resumed->trainer().steps() == 2);
  resumed->train(never);
  CHECK(read_file(directory / "whole/last/model.safetensors") ==
        read_file(directory / "parts/last/model.safetensors"));
}

TEST_CASE("train --from: what cannot be is one line, and leaves nothing behind") {
  const TemporaryDirectory directory;
  const std::string before = "cd " + directory.path + ";";
  const std::string model = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/llama/sharded";
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const Outcome outcome = run_program("train " + arguments, before);
    CAPTURE(outcome.output);
    CHECK(outcome.code == 2);
    CHECK(outcome.output.find(why) != std::string::npos);
    const bool written = std::any_of(fs::directory_iterator(directory.path), {},
                                     [](const auto& entry) { return entry.path().extension() != ".json"; });
    CHECK_FALSE(written);
  };
  refused("--from nowhere", "there is no 'nowhere'");
  refused("--from " + model + " --set layers=9",
          "the model has its own layers; leave it out of --set layers=9");
  write_file(directory / "sizes.json", R"({"rate": 1e-4, "width": 64})");
  const std::string config = directory / "sizes.json";
  refused("--from " + model + " --config " + config,
          "the model has its own width; leave it out of --config " + config);
  // A pipe is read once.
  CHECK(run_program("train --from " + model + " --config /dev/stdin", before + "cat sizes.json |")
            .output.find("leave it out of --config /dev/stdin") != std::string::npos);
  fs::remove(config);
  refused("--from " + model + " --tokenizer " + model,
          "the model has its own tokenizer; leave out --tokenizer");
  refused("--from " + model + " --preset tiny", "the model has its own; leave out --preset");
  refused("--from " + model + " --break no_norm", "fault=no_norm: family llama has no such part");
  refused("--from " + model + " --set context=1000", "context=1000: the model sees 160 tokens");
  refused("--set learn=lora", "learn=lora is for a model that is there: --from");
  refused("--from " + model + " --set learn=last --set last_blocks=3",
          "the last 3 blocks cannot learn: the model has 2");
  refused("--new-words x", "--from");
}
