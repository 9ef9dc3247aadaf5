// Causal multi-head self-attention (Vaswani et al. 2017): every place looks at itself and the places before
// it.
#pragma once
#include <span>

#include "nn/dropout.h"
#include "nn/linear.h"

namespace chapbook {

// Keys and values of the places of one sequence already seen, so that generating a token costs one place, not
// all of them.
struct KeyValueCache {
  Tensor keys, values;  // (1, H, context, D), of which the first `length` places are filled
  int64_t length = 0;
};

struct Attention : Module {
  int64_t heads;
  Linear c_attn;  // (C, 3C): queries, keys and values in one product
  Linear c_proj;  // (C, C)
  Dropout dropout;

  Attention(int64_t width, int64_t heads, bool bias, Backend& backend = default_backend())
      : heads(heads), c_attn(width, 3 * width, bias, backend), c_proj(width, width, bias, backend) {
    check(heads > 0 && width % heads == 0, "attention: width {} does not divide into {} heads", width, heads);
  }

  Variable operator()(const Variable& x, const Variable& residual) const;  // (B, T, C) -> (B, T, C)
  // The next T places of B sequences, each after those in its own cache; these may differ in length.
  Tensor operator()(const Tensor& x, std::span<KeyValueCache* const> caches) const;

  void parts(PartVisitor& visit) override {
    visit("c_attn", c_attn);
    visit("c_proj", c_proj);
  }
};

// The same in small steps, as the definition has it: scores, mask, softmax, weighted sum. What attention() in
// autograd/ops.h is tested against, and what a reader should read first. qkv (B, T, 3C) -> (B, T, C).
Variable attention_in_steps(const Variable& qkv, int64_t heads);

}  // namespace chapbook
