// Weights in fewer bits: what they cost a trained model, what they say of themselves, and where they are
// refused.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/run/evaluation.h"
#include "apps/run/family.h"
#include "apps/run/generator.h"
#include "apps/run/model_directory.h"
#include "apps/run/trainer.h"
#include "apps/run/weights.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "nn/gpt.h"
#include "tensor/cpu/thread_pool.h"
#include "tests/apps/little_run.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

namespace {

// A model that has learned something: trained once for each family, then its numbers are copied.
std::unique_ptr<LanguageModel> trained(const std::string& family_name) {
  Settings settings = little_settings();
  set(settings, "family", family_name);
  settings.width = 48, settings.steps = 150, settings.rate = 3e-3;
  static std::map<std::string, NamedTensors> numbers;
  std::unique_ptr<LanguageModel> model = make_model(settings);
  if (!numbers.count(family_name)) {
    Random random{1};
    model->initialise(random);
    const std::vector<uint16_t> data = little_tokens(4000);
    Trainer trainer(settings, *model, data);
    for (int64_t i = 0; i < settings.steps; ++i) trainer.step();
    for (const auto& [name, tensor] : state(*model))
      numbers[family_name].push_back({name, tensor.contiguous_copy()});
  }
  load(*model, numbers[family_name]);
  return model;
}

}  // namespace

TEST_CASE("a trained model's loss is nearly the same with weights in 16 and in 8 bits, and is not the same") {
  for (const char* family_name : {"gpt2", "llama"}) {
    const std::vector<uint16_t> other = little_tokens(2400);
    std::vector<int32_t> ids(other.begin(), other.end());
    std::rotate(ids.begin(), ids.begin() + 700, ids.end());
    const double whole = evaluate(*trained(family_name), ids, {.accuracy = true}).loss;
    CHECK(whole < 1.6);  // of 40 ids three may follow: log 3 is 1.10, log 40 is 3.69
    for (const char* weights : {"f32", "bf16", "int8"}) {
      INFO(family_name, " in ", weights);
      const auto model = trained(family_name);
      const std::string line = choose_weights(*model, weights);
      CHECK(line.starts_with(weights));
      const double loss = evaluate(*model, ids, {.accuracy = true}).loss;
      // The goal is half a percent; a scale that is wrong or a group left out costs far more.
      CHECK(std::abs(loss - whole) <= 0.005 * whole);
      CHECK((loss == whole) == (std::string(weights) == "f32"));
    }
  }
}

TEST_CASE("what a packed model tells does not depend on the threads, nor on who else is told something") {
  std::string stories;
  write_stories(50, 1, [&](std::string_view story) { stories += story; });
  const Tokenizer tokenizer = train_bpe(stories, 300);
  const int threads = thread_pool().threads();
  for (const char* weights : {"bf16", "int8"}) {
    GPT model({.layers = 2, .heads = 2, .width = 48, .context = 40, .vocabulary = 300});
    Random random{1};
    model.initialise(random);
    choose_weights(model, weights);
    std::string first;
    for (const int count : {1, 2, 5}) {
      thread_pool().set_threads(count);
      const std::string text =
          tell(model, tokenizer, "One day", {.temperature = 0, .tokens = 60, .stop_at_end = false});
      if (first.empty()) first = text;
      CHECK(text == first);
    }
    std::vector<std::unique_ptr<Continuation>> texts;
    std::vector<Continuation*> all;
    for (const char* prompt : {"One day", "The cat", "Tom and"}) {
      texts.push_back(
          std::make_unique<Continuation>(model, tokenizer, prompt_ids(tokenizer, prompt),
                                         Sampling{.temperature = 0, .tokens = 60, .stop_at_end = false}));
      all.push_back(texts.back().get());
    }
    std::string together;
    while (all[0]->end() == Continuation::End::none) step(model, all), together += all[0]->text();
    CHECK(together == first);
  }
  thread_pool().set_threads(threads);
}

TEST_CASE("weights that are not known, not possible or not to be saved are refused in one line") {
  const auto model = trained("gpt2");
  CHECK_THROWS_WITH(choose_weights(*model, "int4"), "--weights cannot be int4; allowed: f32, bf16, int8");
  for (const std::string_view name : backend_names()) {
    if (name == "cpu" || name == "reference") continue;
    GPT elsewhere({.layers = 1, .heads = 1, .width = 8, .context = 4, .vocabulary = 9}, backend(name));
    CHECK_THROWS_WITH(choose_weights(elsewhere, "int8"),
                      doctest::Contains("has no products with packed weights"));
    CHECK(!elsewhere.packed());
  }
  choose_weights(*model, "int8");
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(save_model(*model, train_bpe("a b", 257), directory.path),
                    doctest::Contains("a model whose weights are packed is not saved"));
}
