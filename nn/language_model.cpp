#include "nn/language_model.h"

#include <algorithm>
#include <utility>

namespace chapbook {

Variable LanguageModel::embedded(const Tensor& tokens, int64_t first_place) const {
  check(tokens.rank() == 2 && tokens.size(1) > 0, "model: tokens of shape {}, not (B, T)", tokens.shape());
  const int64_t places = first_place + tokens.size(1);
  check(places <= context(), "model: {} tokens are more than the context of {}", places, context());
  return embed(tokens, first_place);
}

// The block, of which only x is kept. Each time it computes, its dropout draws from the same place, and the
// stream of random numbers goes on as if it had computed once.
Variable LanguageModel::recomputed(int64_t i, const Variable& x) const {
  Random* random = dropout_.random;
  const auto compute = [this, i, random, start = random ? random->counter : 0](const Variable& x) {
    check(dropout_.random == random,
          "model: train_with() was called between a loss and its backward(), which computes blocks again");
    if (!random) return block(i, x, nullptr);
    const uint64_t reached = std::exchange(random->counter, start);
    const Variable y = block(i, x, nullptr);
    random->counter = std::max(random->counter, reached);
    return y;
  };
  return recompute(compute, x);
}

Variable LanguageModel::hidden(const Tensor& tokens) const {
  Variable x = dropout_(to(embedded(tokens, 0), dtype_));
  for (int64_t i = 0; i < sizes_.layers; ++i) x = recompute_ ? recomputed(i, x) : block(i, x, nullptr);
  return last_norm(x);
}

Variable LanguageModel::operator()(const Tensor& tokens) const {
  return linear(hidden(tokens), transpose(head(), 0, 1), {});
}

Variable LanguageModel::loss(const Tensor& tokens, const Tensor& targets, double label_smoothing) const {
  return linear_cross_entropy(hidden(tokens), head(), targets, {.smoothing = label_smoothing});
}

LanguageModel::Caches LanguageModel::caches(int64_t batch) const {
  const Shape shape{batch, sizes_.key_heads, sizes_.context, sizes_.head_width};
  Caches caches;
  for (int64_t i = 0; i < sizes_.layers; ++i)
    caches.push_back(
        {Tensor::empty(shape, DType::f32, backend()), Tensor::empty(shape, DType::f32, backend())});
  return caches;
}

Tensor LanguageModel::next(const Tensor& tokens, Caches& caches) const {
  NoGrad no_grad;
  Variable x = embedded(tokens, caches.front().length);
  for (int64_t i = 0; i < sizes_.layers; ++i) x = block(i, x, &caches[i]);
  const Tensor last = x.value().select(1, x.size(1) - 1).as_contiguous();  // (B, C)
  return matmul(last_norm(last).value(), head().value().transpose(0, 1));  // (B, V)
}

void LanguageModel::train_with(Random* random, bool recompute) {
  recompute_ = recompute;
  dropout_ = {sizes_.dropout, random};
  drop(dropout_);
}

}  // namespace chapbook
