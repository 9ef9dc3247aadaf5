// After its first steps, training takes nothing from the heap; nor does a token that is generated.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "apps/run/family.h"
#include "apps/run/generator.h"
#include "apps/run/trainer.h"
#include "apps/run/weights.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "nn/gpt.h"
#include "tests/support/heap.h"

using namespace chapbook;

static std::vector<uint16_t> tokens(int64_t count) {
  Random random{3};
  std::vector<uint16_t> ids(count);
  for (uint16_t& id : ids) id = static_cast<uint16_t>(random.below(300));
  return ids;
}

static bool counted() {
  if (!heap_is_counted()) MESSAGE("the heap cannot be watched in this build; nothing is tested");
  return heap_is_counted();
}

// Calls in 20 steps, of several tries the fewest: on a busy machine a thread may get its first share of the
// work, and then its memory to work in, quite late.
template <class Step>
static size_t calls_when_steady(Step step) {
  size_t fewest = SIZE_MAX;
  for (int i = 0; i < 10 && fewest > 0; ++i) {
    const HeapCount heap;
    for (int j = 0; j < 20; ++j) step();
    fewest = std::min(fewest, heap.calls());
  }
  return fewest;
}

TEST_CASE("the heap is watched: new, malloc and fresh tensors are seen") {
  if (!counted()) return;
  const HeapCount heap;
  void* volatile block = std::malloc(100);
  std::free(block);
  CHECK(heap.calls() == 1);
  CHECK(heap.last_bytes() == 100);
  const std::vector<double> numbers(1000);
  CHECK(heap.calls() == 2);
  CHECK(numbers.back() == 0);
  const Tensor odd = Tensor::empty({12345, 67});
  CHECK(heap.calls() > 2);
}

TEST_CASE("steps of training take nothing from the heap") {
  if (!counted()) return;
  const std::vector<uint16_t> data = tokens(5000);
  for (const char* family : {"gpt2", "llama"})
    for (const std::string precision : {"f32", "bf16", "f16"})
      for (const char* optimizer : {"adamw", "sgd"})
        for (const double dropout : {0.0, 0.1})
          for (const bool recompute : {false, true}) {
            CAPTURE(precision);
            CAPTURE(optimizer);
            CAPTURE(dropout);
            CAPTURE(recompute);
            CAPTURE(family);
            Settings settings;
            set(settings, "family", family);
            settings.layers = 2, settings.heads = 2, settings.width = 32, settings.context = 24;
            settings.vocabulary = 300, settings.batch = 4, settings.accumulation = 2;
            settings.precision = precision, settings.optimizer = optimizer, settings.clip = 0.1,
            settings.dropout = dropout, settings.recompute = recompute;
            const std::unique_ptr<LanguageModel> model = make_model(settings);
            Random random{1};
            model->initialise(random);
            Trainer trainer(settings, *model, data);
            CHECK(calls_when_steady([&] { trainer.step(); }) == 0);
          }
}

TEST_CASE("a generated token takes nothing from the heap") {
  if (!counted()) return;
  // Past the end of the context, too: then the last half of it is computed again.
  std::string text;
  write_stories(50, 1, [&](std::string_view story) { text += story; });
  const Tokenizer tokenizer = train_bpe(text, 300);
  for (const char* weights : {"f32", "bf16", "int8"}) {
    CAPTURE(weights);
    const GPTConfig config{.layers = 2, .heads = 2, .width = 32, .context = 32, .vocabulary = 300};
    GPT gpt(config);
    Random random{1};
    gpt.initialise(random);
    choose_weights(gpt, weights);
    const HeapCount heap;
    size_t before = 0, tokens = 0, without = 0, longest = 0;  // calls so far; tokens in a row without one
    Continuation continuation(gpt, tokenizer, prompt_ids(tokenizer, ""),
                              {.tokens = 400, .stop_at_end = false});
    Continuation* const alone = &continuation;
    while (continuation.end() == Continuation::End::none) {
      step(gpt, {&alone, 1});
      without = heap.calls() == before ? without + 1 : 0;
      longest = std::max(longest, without);
      before = heap.calls();
      ++tokens;
    }
    CHECK(tokens == 400);
    CHECK(longest >= 150);
  }
}
