// Families of models: what each makes of the settings, and the Hugging Face directories it opens and writes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "apps/run/evaluation.h"
#include "apps/run/family.h"
#include "apps/run/generator.h"
#include "apps/run/model_directory.h"
#include "apps/run/trainer.h"
#include "nn/gpt.h"
#include "nn/llama.h"
#include "tensor/files.h"
#include "tensor/safetensors.h"
#include "tests/nn/models.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

static const std::string golden_directory = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden";

static std::map<std::string, Tensor> golden_of(const std::string& name) {
  const NamedTensors tensors =
      load_tensors(golden_directory + "/llama/" + name + "/golden.safetensors").tensors;
  return {tensors.begin(), tensors.end()};
}

TEST_CASE("a Llama written by transformers gives the same logits, from one file or several, in f32 or bf16") {
  for (const std::string name : {"grouped", "sharded"}) {
    CAPTURE(name);
    const auto golden = golden_of(name);
    const std::unique_ptr<LanguageModel> model = load_network(golden_directory + "/llama/" + name);
    CHECK(relative_error((*model)(golden.at("tokens")).value(), golden.at("logits")) <= 1e-5);
    CHECK(relative_error(model->loss(golden.at("tokens"), golden.at("targets")).value(), golden.at("loss")) <=
          1e-5);
  }
}

TEST_CASE("a Llama written by transformers tells the same greedy text") {
  const Model model = load_model(golden_directory + "/llama/sharded");
  const auto golden = golden_of("sharded");
  std::vector<int32_t> told;
  generate(*model.network, model.tokenizer, "One day",
           {.temperature = 0, .tokens = 100, .stop_at_end = false}, [&](int32_t id) { told.push_back(id); });
  CHECK(told == golden.at("greedy").to_vector<int32_t>());
}

TEST_CASE("what a family saves is what it opens") {
  const Model golden = load_model(golden_directory + "/llama/sharded");
  for (const Family& each : families()) {
    CAPTURE(std::string(each.name));
    Settings settings;
    set(settings, "family", each.name);
    settings.layers = 2, settings.heads = 4, settings.width = 32, settings.context = 24;
    settings.vocabulary = 300, settings.dropout = 0.1;
    if (settings.family == "llama") settings.key_heads = 2, settings.tied = false, settings.rope_theta = 300;
    check_settings(settings);
    const std::unique_ptr<LanguageModel> model = make_model(settings);
    Random random{1};
    model->initialise(random);
    CHECK(model_costs(settings).parameters == count_parameters(*model));
    CHECK(model->family() == each.name);
    const TemporaryDirectory directory;
    save_model(*model, golden.tokenizer, directory.path);
    const std::unique_ptr<LanguageModel> loaded = load_network(directory.path);
    const auto config_of = [&](const LanguageModel& of) { return each.config(of).dump(); };
    CHECK(config_of(*loaded) == config_of(*model));
    const NamedTensors before = state(*model), after = state(*loaded);
    REQUIRE(before.size() == after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      CHECK(before[i].first == after[i].first);
      CHECK(before[i].second.to_vector<float>() == after[i].second.to_vector<float>());
    }
  }
}

TEST_CASE("a model of transformers is saved as transformers saved it: names, shapes, numbers, settings") {
  for (const std::string name : {"gpt2/with_bias", "llama/grouped", "llama/sharded"}) {
    CAPTURE(name);
    const std::string directory = golden_directory + "/" + name;
    const std::unique_ptr<LanguageModel> model = load_network(directory);
    const Family& its = family(model->family());
    std::map<std::string, Tensor> theirs, ours;
    for (const auto& entry : fs::directory_iterator(directory))
      if (entry.path().filename().string().starts_with("model") && entry.path().extension() == ".safetensors")
        for (const auto& [tensor, numbers] : load_tensors(entry.path()).tensors)
          theirs.emplace(tensor, numbers);
    for (const auto& [tensor, numbers] : its.to_file(*model)) ours.emplace(tensor, numbers);
    CHECK(ours.size() == theirs.size());
    for (const auto& [tensor, numbers] : theirs) {
      CAPTURE(tensor);
      REQUIRE(ours.contains(tensor));
      CHECK(ours.at(tensor).shape() == numbers.shape());
      CHECK(ours.at(tensor).to_vector<float>() == numbers.to_vector<float>());
    }
    const Json written = its.config(*model), read = ConfigFile(directory + "/config.json").json();
    int both = 0;
    for (const auto& [key, value] : written.items()) {
      if (!read.contains(key)) continue;
      CHECK_MESSAGE(value == read[key], key, " is written as ", value.dump(), ", and was ", read[key].dump());
      ++both;
    }
    CHECK(both >= 12);
  }
}

TEST_CASE("a GPT-2 in several files opens, and an index that does not fit them is refused") {
  const std::string from = golden_directory + "/gpt2/with_bias";
  const TemporaryDirectory directory;
  fs::copy_file(from + "/config.json", directory / "config.json");
  const NamedTensors all = load_tensors(from + "/model.safetensors").tensors;
  const size_t half = all.size() / 2;
  nlohmann::ordered_json map;
  for (size_t i = 0; i < all.size(); ++i) map[all[i].first] = i < half ? "a.safetensors" : "b.safetensors";
  save_tensors(directory / "a.safetensors", {all.begin(), all.begin() + half});
  save_tensors(directory / "b.safetensors", {all.begin() + half, all.end()});
  const std::string index = directory / "model.safetensors.index.json";
  const auto write = [&](const nlohmann::ordered_json& weights) {
    write_file(index, nlohmann::ordered_json({{"weight_map", weights}}).dump());
  };
  write(map);
  const NamedTensors whole = state(*load_network(from)), joined = state(*load_network(directory.path));
  for (size_t i = 0; i < whole.size(); ++i)
    CHECK(whole[i].second.to_vector<float>() == joined[i].second.to_vector<float>());

  const auto refused = [&](const std::string& why) {
    CHECK_THROWS_WITH_AS(load_network(directory.path), doctest::Contains(why.c_str()), Error);
  };
  auto changed = map;
  changed[all[0].first] = "b.safetensors";
  write(changed);
  refused("has a tensor");
  changed = map;
  changed["extra"] = "a.safetensors";
  write(changed);
  refused("names");
  changed[all[0].first] = "../a.safetensors";
  write(changed);
  refused("not a name in this directory");
  changed = map;
  for (auto& file : changed)
    if (file == "b.safetensors") file = "c.safetensors";
  write(changed);
  refused("c.safetensors");
  write_file(index, "{}");
  refused("weight_map");
}

TEST_CASE("what a Llama's config asks for and Chapbook does not do is refused by name") {
  const std::string from = golden_directory + "/llama/grouped";
  const TemporaryDirectory directory;
  for (const char* file : {"/config.json", "/model.safetensors"})
    fs::copy_file(from + file, directory.path + file);
  const std::string path = directory / "config.json";
  const auto good = nlohmann::ordered_json::parse(read_file(path));
  CHECK_NOTHROW(load_network(directory.path));
  const auto refused = [&](const nlohmann::ordered_json& change, const std::string& why) {
    auto config = good;
    config.update(change);
    write_file(path, config.dump());
    CAPTURE(change.dump());
    CHECK_THROWS_WITH_AS(load_network(directory.path), doctest::Contains(why.c_str()), Error);
  };
  refused({{"model_type", "mamba"}}, "no family of models \"mamba\"; Chapbook knows gpt2, llama");
  refused({{"model_type", 7}}, "no 'model_type'");
  refused({{"hidden_act", "gelu"}}, "'hidden_act' is \"gelu\"; Chapbook only knows \"silu\"");
  refused({{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}}}, "'rope_scaling' has \"rope_type\"");
  refused({{"rope_parameters", {{"rope_type", "yarn"}, {"rope_theta", 1e4}}}}, "'rope_parameters' has");
  refused({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 0.5}}}}, "'rope_theta' is 0.5");
  refused({{"quantization_config", {{"bits", 4}}}}, "'quantization_config'");
  refused({{"num_attention_heads", 3}}, "2 heads of keys do not divide 3");
  refused({{"head_dim", 9}}, "cannot be turned");
  refused({{"hidden_size", 1 << 15}}, "describes a model of");
  refused({{"num_hidden_layers", 1 << 20}}, "'num_hidden_layers' is 1048576");
  refused({{"tie_word_embeddings", true}}, "'lm_head.weight' is not the table of tokens");
  refused({{"attention_bias", false}}, "extra: model.layers.0.self_attn.q_proj.bias");
  refused({{"rms_norm_eps", 0}}, "'rms_norm_eps' is 0");
  refused({{"attention_bias", "yes"}}, "not true or false");
  // What older versions wrote, and what is the default, is read.
  auto older = good;
  older.erase("rope_parameters"), older.erase("head_dim");
  older.update({{"rope_theta", 500.0}, {"rope_scaling", nullptr}, {"head_dim", 10}});
  write_file(path, older.dump());
  CHECK(dynamic_cast<const Llama&>(*load_network(directory.path)).config().rope_theta == 500);
}

TEST_CASE("a tied Llama's head may stand in its file a second time, but not another one") {
  const TemporaryDirectory directory;
  const std::string from = golden_directory + "/llama/sharded";
  const auto before = load_network(from);
  fs::copy_file(from + "/config.json", directory / "config.json");
  NamedTensors tensors = family("llama").to_file(*before);
  Tensor table;
  for (const auto& [name, tensor] : tensors)
    if (name == "model.embed_tokens.weight") table = tensor;
  tensors.emplace_back("lm_head.weight", table);
  save_tensors(directory / "model.safetensors", tensors);
  const Tensor ids = golden_of("sharded").at("tokens");
  CHECK((*load_network(directory.path))(ids).value().to_vector<float>() ==
        (*before)(ids).value().to_vector<float>());
  tensors.back().second = table * 1.01;
  save_tensors(directory / "model.safetensors", tensors);
  CHECK_THROWS_WITH_AS(load_network(directory.path),
                       doctest::Contains("'lm_head.weight' is not the table of tokens"), Error);
  // Broken weights are the same weights.
  for (auto& [name, tensor] : tensors)
    if (name == "model.embed_tokens.weight" || name == "lm_head.weight") tensor = table * NAN;
  save_tensors(directory / "model.safetensors", tensors);
  CHECK_NOTHROW(load_network(directory.path));
}

TEST_CASE("nobody but its own files knows a family: a new one is three files and a line of the table") {
  std::map<std::string, std::vector<std::string>> includers;
  for (const char* folder : {"/nn", "/optim", "/data", "/apps"})
    for (const auto& entry : fs::recursive_directory_iterator(CHAPBOOK_SOURCE_DIR + std::string(folder))) {
      if (!entry.is_regular_file()) continue;
      const std::string source = read_file(entry.path()), name = entry.path().filename();
      for (const char* header : {"nn/gpt.h", "nn/llama.h"})
        if (source.find(fmt::format("#include \"{}\"", header)) != std::string::npos)
          includers[header].push_back(name);
      const bool of_family =
          name.starts_with("family_") || name.starts_with("gpt.") || name.starts_with("llama.");
      std::vector<std::string> words = {"wte.weight\"", "embed_tokens", "attn.\"", "\".attn."};
      for (const Family& each : families())
        for (const char* before : {"== ", "!= ", "family("})
          words.push_back(fmt::format("{}\"{}\"", before, each.name));
      for (const std::string& word : words)
        CHECK_MESSAGE((of_family || name == "nanogpt.cpp" || source.find(word) == source.npos), name,
                      " knows a family by ", word);  // nanoGPT's format is GPT-2's
    }
  // And none of them knows another's settings.
  for (const Family& each : families()) {
    const std::string source =
        read_file(fmt::format("{}/apps/run/family_{}.cpp", CHAPBOOK_SOURCE_DIR, each.name));
    for (const Family& other : families())
      for (const std::string_view name : other.own_settings)
        CHECK_MESSAGE((std::ranges::count(each.own_settings, name) > 0 ||
                       source.find(fmt::format("settings.{}", name)) == source.npos),
                      each.name, " knows ", std::string(name), ", a setting of ", other.name);
  }
  for (auto& [header, names] : includers) std::sort(names.begin(), names.end());
  CHECK(includers["nn/gpt.h"] == std::vector<std::string>{"family_gpt2.cpp", "gpt.cpp"});
  CHECK(includers["nn/llama.h"] == std::vector<std::string>{"family_llama.cpp", "llama.cpp"});
}

TEST_CASE("a family sets what is usual in it, and refuses what it has not") {
  const auto of = [](const std::vector<std::string>& assignments) {
    return SettingsOptions{"tiny", "", assignments}.settings();
  };
  CHECK(of({}).bias);
  CHECK_FALSE(of({"family=llama"}).bias);
  CHECK(of({"family=llama", "bias=true"}).bias);
  CHECK(of({"family=llama", "family=gpt2"}).bias);
  Settings settings;
  read_settings(settings, R"({"bias": true, "family": "llama"})");
  CHECK(settings.bias);
  Settings again;
  read_settings(again, to_json(of({"family=llama"})).dump());
  CHECK(again == of({"family=llama"}));
  for (const std::string setting : {"key_heads=2", "tied=false", "inner=100", "rope_theta=500"}) {
    const std::string name = setting.substr(0, setting.find('='));
    CHECK_THROWS_WITH_AS(of({setting}),
                         fmt::format("family gpt2: it has no {}, which is a setting of llama", name).c_str(),
                         Error);
    CHECK_NOTHROW(of({"family=llama", setting}));
  }
  CHECK_THROWS_WITH_AS(of({"family=llama", "key_heads=3"}), "key_heads (3) must divide heads (4)", Error);
  CHECK_THROWS_WITH_AS(of({"family=mamba"}), "setting family cannot be mamba; allowed: gpt2, llama", Error);
}

TEST_CASE("every family learns a text by heart, in f32 and bf16, and goes on bit for bit") {
  std::vector<uint16_t> text;
  for (int i = 0; i < 400; ++i) text.push_back(static_cast<uint16_t>((i * i + i / 7) % 31));
  for (const Family& each : families())
    for (const char* precision : {"f32", "bf16"}) {
      CAPTURE(std::string(each.name));
      CAPTURE(std::string(precision));
      Settings settings;
      set(settings, "family", each.name);
      settings.layers = 2, settings.heads = 4, settings.width = 32, settings.context = 16;
      settings.vocabulary = 40, settings.batch = 8, settings.steps = 60, settings.warmup = 5;
      settings.rate = 1e-2, settings.precision = precision;
      if (settings.family == "llama") settings.key_heads = 1;
      const auto model = make_model(settings), again = make_model(settings);
      Random random{1};
      model->initialise(random);
      Trainer trainer(settings, *model, text), resumed(settings, *again, text);
      for (int i = 0; i < 30; ++i) trainer.step();
      load(*again, state(*model));
      resumed.restore(trainer.state(), trainer.optimizer_state());
      double last = 0;
      for (int i = 0; i < 30; ++i) {
        last = trainer.step().loss;
        CHECK(resumed.step().loss == last);
      }
      CHECK(last <= 0.6 * std::log(40.0));
    }
}
