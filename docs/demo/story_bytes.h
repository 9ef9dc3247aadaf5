// The built-in stories as batches of bytes, each byte a token: text for models that learn in seconds.
#pragma once
#include <vector>

#include "data/loader.h"
#include "data/stories.h"
#include "tensor/tensor.h"

namespace chapbook {

inline std::vector<uint16_t> story_bytes(int64_t stories, uint64_t seed) {
  std::vector<uint16_t> tokens;
  write_stories(stories, seed, [&](std::string_view text) {
    for (const char letter : text) tokens.push_back(static_cast<unsigned char>(letter));
  });
  return tokens;
}

struct StoryBatches {
  std::vector<uint16_t> text;
  Loader loader;
  Tensor inputs, targets;  // (B, T) i32

  StoryBatches(int64_t batch, int64_t context, uint64_t seed)
      : text(story_bytes(2000, seed)),
        loader(text, batch, context, {.seed = seed}),
        inputs(Tensor::empty({batch, context}, DType::i32)),
        targets(Tensor::empty({batch, context}, DType::i32)) {}

  void next() {
    std::vector<int32_t> x(inputs.count()), y(x);
    loader.next(x, y);
    inputs = Tensor::from(x, inputs.shape()), targets = Tensor::from(y, inputs.shape());
  }
};

}  // namespace chapbook
