#include "nn/gpt.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace chapbook {

static const GPTConfig& checked(const GPTConfig& config) {
  check(config.layers > 0 && config.width > 0 && config.context > 0 && config.vocabulary > 0,
        "gpt: layers {}, width {}, context {} and vocabulary {} must all be positive", config.layers,
        config.width, config.context, config.vocabulary);
  check(config.heads > 0 && config.width % config.heads == 0, "gpt: width {} does not divide into {} heads",
        config.width, config.heads);
  return config;
}

Block::Block(const GPTConfig& config, Backend& backend)
    : ln_1(config.width, config.bias, backend),
      ln_2(config.width, config.bias, backend),
      attn(config.width, config.heads, config.bias, backend),
      mlp(config.width, config.bias, backend) {}

Tensor Block::operator()(const Tensor& x, std::span<KeyValueCache* const> caches) const {
  const Tensor seen = x + attn(ln_1(x).value(), caches);
  return mlp(ln_2(seen), seen).value();
}

void Block::parts(PartVisitor& visit) {
  visit("ln_1", ln_1);
  visit("attn", attn);
  visit("ln_2", ln_2);
  visit("mlp", mlp);
}

Transformer::Transformer(const GPTConfig& config, Backend& backend)
    : wte(config.vocabulary, config.width, backend),
      wpe(config.context, config.width, backend),
      ln_f(config.width, config.bias, backend) {
  for (int64_t i = 0; i < config.layers; ++i) h.push_back(std::make_unique<Block>(config, backend));
}

void Transformer::parts(PartVisitor& visit) {
  visit("wte", wte);
  visit("wpe", wpe);
  for (size_t i = 0; i < h.size(); ++i) visit("h." + std::to_string(i), *h[i]);
  visit("ln_f", ln_f);
}

GPT::GPT(const GPTConfig& config, Backend& backend)
    : config_(checked(config)), transformer_(config, backend) {}

Variable GPT::embed(const Tensor& tokens, std::span<Caches* const> sequences) const {
  check(tokens.rank() == 2 && tokens.size(1) > 0, "gpt: tokens of shape {}, not (B, T)", tokens.shape());
  const int64_t B = tokens.size(0), T = tokens.size(1);
  const auto fits = [&](int64_t places) {
    check(places <= config_.context, "gpt: {} tokens are more than the context of {}", places,
          config_.context);
  };
  if (sequences.empty()) {
    fits(T);
    return transformer_.wte(tokens) + slice(transformer_.wpe.weight, 0, 0, T);  // (B, T, C)
  }
  check(static_cast<int64_t>(sequences.size()) == B, "gpt: {} sequences, but caches of {}", B,
        sequences.size());
  RecycledVector<int32_t> places;
  for (const Caches* caches : sequences) {
    fits(caches->front().length + T);
    for (int64_t t = 0; t < T; ++t) places.push_back(static_cast<int32_t>(caches->front().length + t));
  }
  return transformer_.wte(tokens) +
         transformer_.wpe(Tensor::from<int32_t>(std::span<const int32_t>(places), {B, T}, backend()));
}

// The block, of which only x is kept. Each time it computes, its dropout draws from the same place, and the
// stream of random numbers goes on as if it had computed once.
static Variable recomputed(const Block& block, const Variable& x) {
  Random* random = block.attn.dropout.random;
  const auto compute = [&block, random, start = random ? random->counter : 0](const Variable& x) {
    check(block.attn.dropout.random == random,
          "gpt: train_with() was called between a loss and its backward(), which computes blocks again");
    if (!random) return block(x);
    const uint64_t reached = std::exchange(random->counter, start);
    const Variable y = block(x);
    random->counter = std::max(random->counter, reached);
    return y;
  };
  return recompute(compute, x);
}

Variable GPT::hidden(const Tensor& tokens) const {
  Variable x = dropout_(to(embed(tokens, {}), dtype_));
  for (const auto& block : transformer_.h) x = recompute_ ? recomputed(*block, x) : (*block)(x);
  return transformer_.ln_f(x);
}

Variable GPT::operator()(const Tensor& tokens) const {
  return linear(hidden(tokens), transpose(transformer_.wte.weight, 0, 1), {});
}

Variable GPT::loss(const Tensor& tokens, const Tensor& targets, double label_smoothing) const {
  return linear_cross_entropy(hidden(tokens), transformer_.wte.weight, targets,
                              {.smoothing = label_smoothing});
}

GPT::Caches GPT::caches() const {
  const Shape shape{1, config_.heads, config_.context, config_.width / config_.heads};
  Caches caches;
  for (int64_t i = 0; i < config_.layers; ++i)
    caches.push_back(
        {Tensor::empty(shape, DType::f32, backend()), Tensor::empty(shape, DType::f32, backend())});
  return caches;
}

Tensor GPT::next(const Tensor& tokens, std::span<Caches* const> sequences) const {
  NoGrad no_grad;
  Tensor x = embed(tokens, sequences).value();
  RecycledVector<KeyValueCache*> caches(sequences.size());  // of a block
  for (size_t i = 0; i < transformer_.h.size(); ++i) {
    for (size_t b = 0; b < sequences.size(); ++b) caches[b] = &(*sequences[b])[i];
    x = (*transformer_.h[i])(x, caches);
  }
  const Tensor last = transformer_.ln_f(x.select(1, x.size(1) - 1).as_contiguous()).value();  // (B, C)
  return matmul(last, transformer_.wte.weight.value().transpose(0, 1));                       // (B, V)
}

void GPT::initialise(Random& random) {
  const double residual = 1 / std::sqrt(2.0 * static_cast<double>(config_.layers));
  PartVisitor visit([&](const std::string& name, Variable& parameter) {
    const Tensor& value = parameter.value();
    if (value.rank() < 2) {
      value.backend().fill(value.view(),
                           name.find("ln_") != std::string::npos && name.ends_with("weight") ? 1 : 0);
    } else {
      const double deviation =
          name.ends_with("wpe.weight") ? 0.01 : 0.02 * (name.ends_with("c_proj.weight") ? residual : 1);
      const Tensor drawn = normal(value.shape(), random, value.dtype(), value.backend()) * deviation;
      value.backend().copy(drawn.view(), value.view());
    }
  });
  parts(visit);
}

void GPT::train_with(Random* random, bool recompute) {
  recompute_ = recompute;
  dropout_ = {config_.dropout, random};
  for (const auto& block : transformer_.h) block->attn.dropout = block->mlp.dropout = dropout_;
}

int64_t parameter_count(const GPTConfig& config) {
  const int64_t C = config.width, bias = config.bias;
  const int64_t norm = C + bias * C;
  const int64_t block = 2 * norm + 12 * C * C + bias * 9 * C;  // C x 3C, C x C, C x 4C, 4C x C
  return (config.vocabulary + config.context) * C + config.layers * block + norm;
}

double training_flops_per_token(const GPTConfig& config) {
  const double L = config.layers, C = config.width, T = config.context;
  return 6 * (12 * L * C * C + config.vocabulary * C) + 14 * L * C * (T + 1) / 2;
}

int64_t activation_bytes(const GPTConfig& config, int64_t batch, bool recompute, DType dtype,
                         const Backend& backend) {
  const int64_t N = batch * config.context, C = config.width, masks = config.dropout > 0;
  const int64_t bytes = size_of(dtype), V = config.vocabulary;
  const bool half = dtype != DType::f32;
  // A block keeps the residual stream before each norm and both norms' results (4 C), qkv (3 C), what
  // attention gives (C), the MLP's inside before and after GELU (8 C), and two masks; the norms keep two
  // numbers a row each, attention one for every head.
  const int64_t rounded_weights = half ? bytes * 12 * C * C : 0;
  const int64_t block = N * ((16 + 2 * masks) * C * bytes + (4 + config.heads) * 4) + rounded_weights;
  // The head keeps the last norm and the gradient of its result, and needs room for a tile of logits.
  const int64_t tile = logits_at_once(N, V, backend);
  const int64_t head = N * (3 * C * bytes + 2 * 4) + tile * (V * bytes + 4) + (half ? bytes * V * C : 0);
  // Blocks that are computed again keep their input; the last one's inside comes back when the head's is
  // gone.
  const int64_t blocks = config.layers * (recompute ? N * C * bytes : block);
  const int64_t mask_of_embeddings = N * masks * C * bytes;
  return mask_of_embeddings + blocks + (recompute ? std::max(head, block) : head);
}

}  // namespace chapbook
