// Model directories: what is saved is what is loaded, and what is not a GPT-2 is refused by name.
#include <doctest/doctest.h>

#include "apps/run/generator.h"
#include "apps/run/model_directory.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "nn/gpt.h"
#include "tensor/files.h"
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
