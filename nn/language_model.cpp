#include "nn/language_model.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "nn/adapt.h"

namespace chapbook {

// Whether they fit into the context, after those before them.
void LanguageModel::check_tokens(const Tensor& tokens, int64_t before) const {
  check(tokens.rank() == 2 && tokens.size(1) > 0, "model: tokens of shape {}, not (B, T)", tokens.shape());
  const int64_t places = before + tokens.size(1);
  check(places <= context(), "model: {} tokens are more than the context of {}", places, context());
}

// The block, of which only x is kept. Each time it computes, its dropout draws from the same place, and the
// stream of random numbers goes on as if it had computed once.
Variable LanguageModel::recomputed(int64_t i, const Variable& x) const {
  Random* random = dropout_.random;
  const auto compute = [this, i, random, start = random ? random->counter : 0](const Variable& x) {
    check(dropout_.random == random,
          "model: train_with() was called between a loss and its backward(), which computes blocks again");
    if (!random) return named_block(i, x, {}, {});
    const uint64_t reached = std::exchange(random->counter, start);
    const Variable y = named_block(i, x, {}, {});
    random->counter = std::max(random->counter, reached);
    return y;
  };
  return recompute(compute, x);
}

Variable LanguageModel::named_block(int64_t i, const Variable& x, const Tensor& places,
                                    CachesOfBlock caches) const {
  const Within within(i);
  return named("stream", block(i, x, places, caches));
}

Variable LanguageModel::stream(const Tensor& tokens) const {
  check_tokens(tokens, 0);
  Variable x = named("embedded", dropout_(to(embed(tokens, {}), dtype_)));
  for (int64_t i = 0; i < sizes_.layers; ++i) x = recompute_ ? recomputed(i, x) : named_block(i, x, {}, {});
  return x;
}

Variable LanguageModel::scores(const Variable& stream) const {
  const Variable x = last_norm(stream);
  return packed_head_ ? times_packed(x, packed_head_, {}, {}) : linear(x, transpose(head(), 0, 1), {});
}

Variable LanguageModel::operator()(const Tensor& tokens) const { return scores(stream(tokens)); }

Variable LanguageModel::hidden(const Tensor& tokens) const { return last_norm(stream(tokens)); }

Tensor LanguageModel::scored(const Tensor& x) const {
  return packed_head_ ? matmul(x, packed_head_) : matmul(x, head().value().to(x.dtype()).transpose(0, 1));
}

void LanguageModel::each_logits(const Tensor& tokens,
                                const std::function<void(int64_t first, const Tensor& logits)>& visit) const {
  NoGrad no_grad;
  constexpr int64_t numbers = 16 << 20;  // 64 MB
  const Tensor x = hidden(tokens).value(), rows = x.reshape({-1, x.size(-1)});
  const int64_t at_once = std::max<int64_t>(1, numbers / vocabulary());
  for (int64_t first = 0; first < rows.size(0); first += at_once)
    visit(first, scored(rows.slice(0, first, std::min(rows.size(0), first + at_once))));
}

Variable LanguageModel::loss(const Tensor& tokens, const Tensor& targets, double label_smoothing) const {
  check(!packed_head_, "model: a loss to train on wants weights in f32, not packed as {}",
        name_of(packed_head_.packing));
  return linear_cross_entropy(hidden(tokens), head(), targets, {.smoothing = label_smoothing});
}

LanguageModel::Caches LanguageModel::caches() const {
  const Shape shape{1, sizes_.key_heads, sizes_.context, sizes_.head_width};
  Caches caches;
  for (int64_t i = 0; i < sizes_.layers; ++i)
    caches.push_back(
        {Tensor::empty(shape, DType::f32, backend()), Tensor::empty(shape, DType::f32, backend())});
  return caches;
}

Tensor LanguageModel::next(const Tensor& tokens, std::span<Caches* const> sequences) const {
  NoGrad no_grad;
  check_tokens(tokens, 0);
  const int64_t B = tokens.size(0), T = tokens.size(1);
  check(static_cast<int64_t>(sequences.size()) == B, "model: {} sequences, but caches of {}", B,
        sequences.size());
  RecycledVector<int32_t> numbers;
  for (const Caches* caches : sequences) {
    check(caches && std::ssize(*caches) == sizes_.layers, "model: caches of {} blocks, the model has {}",
          caches ? caches->size() : 0, sizes_.layers);
    check_tokens(tokens, caches->front().length);
    for (int64_t t = 0; t < T; ++t) numbers.push_back(static_cast<int32_t>(caches->front().length + t));
  }
  const Tensor places = Tensor::from<int32_t>(std::span<const int32_t>(numbers), {B, T}, backend());
  Variable x = named("embedded", embed(tokens, places));
  RecycledVector<KeyValueCache*> caches(sequences.size());  // of a block
  for (int64_t i = 0; i < sizes_.layers; ++i) {
    for (size_t b = 0; b < sequences.size(); ++b) caches[b] = &(*sequences[b])[i];
    x = named_block(i, x, places, caches);
  }
  const Tensor last = x.value().select(1, T - 1).as_contiguous();  // (B, C)
  return scored(last_norm(last).value());                          // (B, V)
}

void LanguageModel::pack_weights(Packing packing) {
  check(!packed_head_, "the model's weights are packed already, as {}", name_of(packed_head_.packing));
  for_each_linear(*this, [&](const std::string&, Linear& linear) {
    linear.packed = pack(linear.weight.value(), packing);
    linear.weight = {};
  });
  packed_head_ = pack(head().value().transpose(0, 1), packing);
}

int64_t LanguageModel::weight_bytes() {
  int64_t bytes = packed_head_ ? packed_head_.bytes() : head().value().count() * 4;
  for_each_linear(*this, [&](const std::string&, Linear& linear) {
    bytes += linear.packed ? linear.packed.bytes() : linear.weight.value().count() * 4;
  });
  return bytes;
}

void LanguageModel::train_with(Random* random, bool recompute) {
  check(sizes_.dropout >= 0 && sizes_.dropout < 1, "model: a dropout of {} is not in [0, 1)", sizes_.dropout);
  recompute_ = recompute;
  dropout_ = {sizes_.dropout, random};
  drop(dropout_);
}

}  // namespace chapbook
