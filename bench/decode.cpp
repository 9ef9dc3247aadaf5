// Times generation with a full-sized model of random weights: one token after another, or a prompt. Prints
// seconds, one number a line.
//   bench_decode LAYERS HEADS WIDTH CONTEXT VOCABULARY TOKENS BATCH [SEEN [WEIGHTS]]
// SEEN tokens are read before the clock starts, then each of TOKENS steps makes one token for every sequence
// of the batch; choosing it is not timed. With TOKENS 0, reading SEEN tokens is timed, five times. WEIGHTS:
// f32, bf16, int8.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "nn/gpt.h"

using namespace chapbook;

int main(int argc, char** argv) try {
  if (argc < 8 || argc > 10) {
    fmt::print(stderr, "usage: {} LAYERS HEADS WIDTH CONTEXT VOCABULARY TOKENS BATCH [SEEN [WEIGHTS]]\n",
               argv[0]);
    return 2;
  }
  const auto number = [&](int i) { return std::atoll(argv[i]); };
  const GPTConfig config{.layers = number(1),
                         .heads = number(2),
                         .width = number(3),
                         .context = number(4),
                         .vocabulary = number(5)};
  const int64_t tokens = number(6), batch = number(7), seen = argc > 8 ? number(8) : 1;
  const std::string_view weights = argc > 9 ? argv[9] : "f32";
  check(tokens >= 0 && batch > 0 && seen > 0 && seen + tokens <= config.context,
        "{} tokens after {} do not fit a context of {}, or a batch of {} makes no sense", tokens, seen,
        config.context, batch);
  check(weights == "f32" || weights == "bf16" || weights == "int8", "weights {} are none", weights);
  GPT gpt(config);
  Random random{1};
  gpt.initialise(random);
  if (weights != "f32") gpt.pack_weights(weights == "bf16" ? Packing::bf16 : Packing::int8);
  std::vector<GPT::Caches> caches(batch);
  std::vector<GPT::Caches*> sequences;
  for (GPT::Caches& each : caches) {
    each = gpt.caches();
    sequences.push_back(&each);
  }
  std::vector<int32_t> next(batch * seen);
  for (int32_t& id : next) id = static_cast<int32_t>(random.below(config.vocabulary));
  // Seconds of a step, which leaves its logits there.
  std::vector<float> logits;
  const auto step = [&] {
    const auto start = std::chrono::steady_clock::now();
    const int64_t length = static_cast<int64_t>(next.size()) / batch;
    logits = gpt.next(Tensor::from(next, {batch, length}), sequences).to_vector<float>();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (int i = 0; tokens == 0 && i < 6; ++i) {
    for (GPT::Caches& each : caches)
      for (KeyValueCache& cache : each) cache.length = 0;
    const double seconds = step();
    if (i > 0) fmt::print("{}\n", seconds);
  }
  for (int64_t i = 0; tokens > 0 && i <= tokens; ++i) {
    const double seconds = step();
    if (i > 0) fmt::print("{}\n", seconds);
    next.resize(batch);
    for (int64_t b = 0; b < batch; ++b) {  // the likeliest token
      const auto row = logits.begin() + b * config.vocabulary;
      next[b] = static_cast<int32_t>(std::max_element(row, row + config.vocabulary) - row);
    }
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
