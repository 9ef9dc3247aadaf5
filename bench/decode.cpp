// Times decoding: one token after another from a full-sized model with random weights. Prints seconds for
// each step, which makes one token for every sequence of the batch, one number a line.
//   bench_decode LAYERS HEADS WIDTH CONTEXT VOCABULARY TOKENS BATCH [SEEN]
// SEEN tokens are read before the clock starts; choosing the next token is not timed.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "nn/gpt.h"

using namespace chapbook;

int main(int argc, char** argv) try {
  if (argc != 8 && argc != 9) {
    fmt::print(stderr, "usage: {} LAYERS HEADS WIDTH CONTEXT VOCABULARY TOKENS BATCH [SEEN]\n", argv[0]);
    return 2;
  }
  const auto number = [&](int i) { return std::atoll(argv[i]); };
  const GPTConfig config{.layers = number(1),
                         .heads = number(2),
                         .width = number(3),
                         .context = number(4),
                         .vocabulary = number(5)};
  const int64_t tokens = number(6), batch = number(7), seen = argc == 9 ? number(8) : 1;
  check(tokens > 0 && batch > 0 && seen > 0 && seen + tokens <= config.context,
        "{} tokens after {} do not fit a context of {}, or a batch of {} makes no sense", tokens, seen,
        config.context, batch);
  GPT gpt(config);
  Random random{1};
  gpt.initialise(random);
  std::vector<GPT::Caches> caches(batch);
  std::vector<GPT::Caches*> sequences;
  for (GPT::Caches& each : caches) {
    each = gpt.caches();
    sequences.push_back(&each);
  }
  std::vector<int32_t> next(batch * seen);
  for (int32_t& id : next) id = static_cast<int32_t>(random.below(config.vocabulary));
  for (int64_t i = 0; i <= tokens; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t length = static_cast<int64_t>(next.size()) / batch;
    const std::vector<float> logits =
        gpt.next(Tensor::from(next, {batch, length}), sequences).to_vector<float>();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (i > 0) fmt::print("{}\n", time.count());
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
