// Causal multi-head self-attention (Vaswani et al. 2017): every place looks at itself and the places before
// it. The op itself is in autograd/ops.h; here is what stands around it.
#pragma once
#include <span>

#include "nn/dropout.h"

namespace chapbook {

// Keys and values of the places of one sequence already seen, so that generating a token costs one place, not
// all of them.
struct KeyValueCache {
  Tensor keys, values;  // (1, heads, context, D), of which the first `length` places are filled
  int64_t length = 0;
};

// Of B sequences, one for each; these may differ in length. Without any, nothing was seen before.
using CachesOfBlock = std::span<KeyValueCache* const>;

// (B, T, heads D) -> (B, heads, T, D), a view.
Variable split_heads(const Variable& x, int64_t heads);

// Of queries (B, H, T, D) over keys and values (B, K, T, D): what any family's attention does with them, and
// what it names: "queries", "keys", "values" and, of what it gives, "heads". Gives (B, T, H D). With caches
// they are the places after those in there; they are put there, and all that is then held is looked at.
Variable attend(const Variable& q, const Variable& k, const Variable& v, CachesOfBlock caches);

// GPT-2's: one product makes queries, keys and values.
struct Attention : Module {
  int64_t heads;
  Linear c_attn;  // (C, 3C)
  Linear c_proj;  // (C, C)
  Dropout dropout;

  Attention(int64_t width, int64_t heads, bool bias, Backend& backend = default_backend())
      : heads(heads), c_attn(width, 3 * width, bias, backend), c_proj(width, width, bias, backend) {
    check(heads > 0 && width % heads == 0, "attention: width {} does not divide into {} heads", width, heads);
  }

  // (B, T, C) -> (B, T, C): what x finds, added to `residual`.
  Variable operator()(const Variable& x, const Variable& residual, CachesOfBlock caches = {}) const;

  void parts(PartVisitor& visit) override {
    visit("c_attn", c_attn);
    visit("c_proj", c_proj);
  }
};

// How much each place looks at the places up to its own: softmax of its query's products with their keys.
// q (B, H, T, D), k (B, K, S, D) -> (B, H, T, S); rows add up to 1. attention() itself never holds these.
Variable attention_weights(const Variable& q, const Variable& k);

// The same in small steps, as the definition has it: scores, mask, softmax, weighted sum. What attention() in
// autograd/ops.h is tested against, and what a reader should read first. Keys and values may have fewer heads
// than queries, whose neighbours then share them. q (B, H, T, D), k and v (B, K, S, D) -> (B, T, H D).
Variable attention_in_steps(const Variable& q, const Variable& k, const Variable& v);
Variable attention_in_steps(const Variable& qkv, int64_t heads);  // qkv (B, T, 3C) -> (B, T, C)

}  // namespace chapbook
