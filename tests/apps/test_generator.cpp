// Model directories: what is saved is what is loaded, and what is not a GPT-2 is refused by name.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>

#include "apps/run/generator.h"
#include "apps/run/model_directory.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "nn/gpt.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static Tokenizer small_tokenizer() {
  std::string text;
  write_stories(50, 1, [&](std::string_view story) { text += story; });
  return train_bpe(text, 300);
}

TEST_CASE("a model directory holds the model it was given") {
  const Tokenizer tokenizer = small_tokenizer();
  for (const bool bias : {true, false}) {
    CAPTURE(bias);
    const TemporaryDirectory directory;
    GPT gpt({.layers = 2, .heads = 2, .width = 16, .context = 24, .vocabulary = 300, .bias = bias});
    Random random{1};
    gpt.initialise(random);
    save_model(gpt, tokenizer, directory.path);
    const Model loaded = load_model(directory.path);
    CHECK(dynamic_cast<const GPT&>(*loaded.network).config() == gpt.config());
    CHECK(loaded.tokenizer.hash() == tokenizer.hash());
    const Tensor tokens = Tensor::from(std::vector<int32_t>{5, 7, 11, 13}, {1, 4});
    CHECK((*loaded.network)(tokens).value().to_vector<float>() == gpt(tokens).value().to_vector<float>());

    // Longer than the context: the window moves on, and the same seed tells the same.
    const Sampling sampling{.seed = 5, .tokens = 100, .stop_at_end = false};
    const std::string story = tell(gpt, tokenizer, "Once", sampling);
    CHECK(story == tell(*loaded.network, loaded.tokenizer, "Once", sampling));
    CHECK(story.size() >= 100);
  }
}

TEST_CASE("a GPT-2 written by transformers opens") {
  const std::string path = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/gpt2/with_bias";
  const std::unique_ptr<LanguageModel> network = load_network(path);
  const GPTConfig& config = dynamic_cast<const GPT&>(*network).config();
  CHECK(config.bias);
  CHECK(parameter_count(config) == count_parameters(*network));
}

TEST_CASE("a GPT-2 of somebody else's, with a tokenizer of theirs, tells the same 200 tokens greedily") {
  const std::string path = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/greedy";
  const Model model = load_model(path);
  CHECK(!model.after_end);
  const Sampling greedy{.temperature = 0, .tokens = 200, .stop_at_end = false};
  int texts = 0;
  for (const Json& golden : parse_json(read_file(path + "/golden.json"))) {
    const std::string prompt = golden["prompt"];
    CAPTURE(prompt);
    CHECK(Json(prompt_ids(model.tokenizer, prompt, model.after_end)) == golden["prompt_ids"]);
    std::vector<int32_t> told;
    generate(
        *model.network, model.tokenizer, prompt, greedy, [&](int32_t id) { told.push_back(id); },
        model.after_end);
    CHECK(Json(told) == golden["ids"]);
    CHECK(tell(*model.network, model.tokenizer, prompt, greedy, model.after_end) ==
          golden["text"].get<std::string>());
    ++texts;
  }
  CHECK(texts == 5);
}

// The message of the Error that loading gives; empty if it loads.
static std::string refusal(const std::string& directory) {
  try {
    load_model(directory);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

static bool has_bias(const std::string& directory) {
  return dynamic_cast<const GPT&>(*load_network(directory)).config().bias;
}

// A model without biases, saved; and the tensors of its file, to change.
struct SavedModel {
  TemporaryDirectory directory;
  Tokenizer tokenizer = small_tokenizer();
  GPT gpt{{.layers = 1, .heads = 2, .width = 16, .context = 8, .vocabulary = 300, .bias = false}};
  const Tensor tokens = Tensor::from(std::vector<int32_t>{5, 7, 11, 13}, {1, 4});
  SavedModel() {
    Random random{1};
    gpt.initialise(random);
    save_model(gpt, tokenizer, directory.path);
  }
  std::string file() const { return directory / "model.safetensors"; }
  std::vector<float> logits() const {
    return (*load_model(directory.path).network)(tokens).value().to_vector<float>();
  }
};

TEST_CASE("biases that another program has trained are used") {
  SavedModel saved;
  CHECK_FALSE(has_bias(saved.directory.path));
  NamedTensors tensors = load_tensors(saved.file()).tensors;
  for (auto& [name, tensor] : tensors)
    if (name.ends_with("mlp.c_fc.bias")) tensor = tensor + 0.5;
  save_tensors(saved.file(), tensors);
  CHECK(has_bias(saved.directory.path));
  CHECK(saved.logits() != saved.gpt(saved.tokens).value().to_vector<float>());
}

TEST_CASE("a head of its own is refused, the table of tokens a second time is not") {
  SavedModel saved;
  NamedTensors tensors = load_tensors(saved.file()).tensors;
  Tensor table;
  for (const auto& [name, tensor] : tensors)
    if (name.ends_with("wte.weight")) table = tensor;
  tensors.emplace_back("lm_head.weight", table);
  save_tensors(saved.file(), tensors);
  CHECK(saved.logits() == saved.gpt(saved.tokens).value().to_vector<float>());
  tensors.back().second = table * 1.01;
  save_tensors(saved.file(), tensors);
  CHECK(refusal(saved.directory.path).find("'lm_head.weight' is not the table of tokens") !=
        std::string::npos);
}

TEST_CASE("causal masks are passed over whatever their dtype") {
  SavedModel saved;
  // As transformers 4.29 writes them: BOOL, (1, 1, T, T).
  std::string bytes = read_file(saved.file());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  nlohmann::ordered_json header = nlohmann::ordered_json::parse(bytes.substr(8, length));
  const auto end = static_cast<int64_t>(bytes.size() - 8 - length);
  header["transformer.h.0.attn.bias"] = {
      {"dtype", "BOOL"}, {"shape", {1, 1, 2, 2}}, {"data_offsets", {end, end + 4}}};
  const std::string text = header.dump(), numbers = bytes.substr(8 + length);
  length = text.size();
  write_file(saved.file(), std::string(reinterpret_cast<const char*>(&length), 8) + text + numbers +
                               std::string("\1\0\1\1", 4));
  CHECK(saved.logits() == saved.gpt(saved.tokens).value().to_vector<float>());
}

TEST_CASE("weights in other files than one model.safetensors: one line says what to do") {
  const SavedModel saved;
  std::filesystem::remove(saved.file());
  CHECK(refusal(saved.directory.path) ==
        saved.directory.path + ": has no model.safetensors, the model's weights");
  write_file(saved.directory / "pytorch_model.bin", "x");
  CHECK(refusal(saved.directory.path).find("its weights are in pytorch_model.bin") != std::string::npos);
  write_file(saved.directory / "model.safetensors.index.json", "{}");
  CHECK(refusal(saved.directory.path).find("no \"weight_map\" of tensors and their files") !=
        std::string::npos);
}

TEST_CASE("a text ends where the model's files say") {
  const SavedModel saved;
  const auto ends = [&] { return load_model(saved.directory.path).ends; };
  const std::string config = saved.directory / "config.json",
                    generation = saved.directory / "generation_config.json";
  CHECK(ends() == std::vector<int32_t>{saved.tokenizer.end_of_text()});
  write_file(generation, R"({"eos_token_id": [7, 11]})");
  CHECK(ends() == std::vector<int32_t>{7, 11});
  write_file(generation, R"({"do_sample": true})");
  std::string text = read_file(config);
  const std::string eos = fmt::format("\"eos_token_id\": {}", saved.tokenizer.end_of_text());
  text.replace(text.find(eos), eos.size(), "\"eos_token_id\": 9");
  write_file(config, text);
  CHECK(ends() == std::vector<int32_t>{9});
  write_file(generation, R"({"eos_token_id": 300})");
  CHECK(refusal(saved.directory.path).find("'eos_token_id' is 300") != std::string::npos);

  // The first token that greedy generation makes is made to be an end.
  int32_t first = -1;
  int made = 0;
  const Sampling greedy{.temperature = 0, .tokens = 5, .stop_at_end = false};
  generate(saved.gpt, saved.tokenizer, "Once", greedy, [&](int32_t id) { first = made++ == 0 ? id : first; });
  CHECK(made == 5);
  made = 0;
  generate(saved.gpt, saved.tokenizer, "Once", {.temperature = 0, .tokens = 5, .ends = {first}},
           [&](int32_t) { ++made; });
  CHECK(made == 1);
  CHECK(tell(saved.gpt, saved.tokenizer, "Once", {.temperature = 0, .tokens = 5, .ends = {first}}) == "");
}

TEST_CASE("a config that asks for something else is refused by name") {
  const Tokenizer tokenizer = small_tokenizer();
  const TemporaryDirectory directory;
  GPT gpt({.layers = 1, .heads = 2, .width = 16, .context = 8, .vocabulary = 300});
  save_model(gpt, tokenizer, directory.path);
  const std::string path = directory / "config.json", good = read_file(path);
  const std::pair<std::string, std::string> changes[] = {
      {"\"gelu_new\"", "\"relu\""},
      {"\"gpt2\"", "\"llama\""},
      {"\"n_embd\": 16", "\"n_embd\": 32"},
      {"\"n_head\": 2", "\"n_head\": 3"},
      {"\"n_layer\": 1", "\"n_layer\": 2"},
      {"\"n_layer\": 1", "\"n_layer\": 16777216"},  // of which none is made
      {"\"n_layer\": 1", "\"n_layer\": -1"},
      {"\"n_layer\": 1", "\"n_layer\": \"1\""},
      {"1e-05", "1e-06"},
      {"\"vocab_size\": 300", "\"vocab_size\": 290"},
      {"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"}};
  for (const auto& [from, to] : changes) {
    CAPTURE(to);
    std::string changed = good;
    REQUIRE(changed.find(from) != std::string::npos);
    changed.replace(changed.find(from), from.size(), to);
    write_file(path, changed);
    CHECK_THROWS_AS(load_model(directory.path), Error);
  }
  for (size_t length = 0; length + 2 < good.size(); ++length) {
    write_file(path, good.substr(0, length));
    CHECK_THROWS_AS(load_model(directory.path), Error);
  }
  write_file(path, good);
  CHECK_NOTHROW(load_model(directory.path));
}
