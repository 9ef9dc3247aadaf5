#include "nn/gpt.h"

#include <algorithm>
#include <cmath>

namespace chapbook {

static const GPTConfig& checked(const GPTConfig& config) {
  check(config.layers > 0 && config.width > 0 && config.context > 0 && config.vocabulary > 0,
        "gpt: layers {}, width {}, context {} and vocabulary {} must all be positive", config.layers,
        config.width, config.context, config.vocabulary);
  check(config.heads > 0 && config.width % config.heads == 0, "gpt: width {} does not divide into {} heads",
        config.width, config.heads);
  return config;
}

// GPT-2's first weights have a deviation of 0.02, of the places 0.01, and of the two products that add to the
// stream 0.02 / sqrt(2 layers), so that the stream ends as large however many blocks add to it.
Block::Block(const GPTConfig& config, Backend& backend)
    : ln_1(config.width, config.bias, backend),
      ln_2(config.width, config.bias, backend),
      attn(config.width, config.heads, config.bias, backend),
      mlp(config.width, config.bias, backend) {
  attn.c_attn.deviation = mlp.c_fc.deviation = 0.02;
  attn.c_proj.deviation = mlp.c_proj.deviation =
      0.02 * (1 / std::sqrt(2.0 * static_cast<double>(config.layers)));
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
  wpe.deviation = 0.01;
  for (int64_t i = 0; i < config.layers; ++i) h.push_back(std::make_unique<Block>(config, backend));
}

void Transformer::parts(PartVisitor& visit) {
  visit("wte", wte);
  visit("wpe", wpe);
  for (size_t i = 0; i < h.size(); ++i) visit("h." + std::to_string(i), *h[i]);
  visit("ln_f", ln_f);
}

GPT::GPT(const GPTConfig& config, Backend& backend)
    : LanguageModel({.layers = config.layers,
                     .context = config.context,
                     .vocabulary = config.vocabulary,
                     .key_heads = config.heads,
                     .head_width = checked(config).width / config.heads,
                     .dropout = config.dropout}),
      config_(config),
      transformer_(config, backend) {}

Variable GPT::embed(const Tensor& tokens, const Tensor& places) const {
  const Embedding &wte = transformer_.wte, &wpe = transformer_.wpe;
  return wte(tokens) + (places ? wpe(places) : slice(wpe.weight, 0, 0, tokens.size(1)));  // (B, T, C)
}

void GPT::drop(const Dropout& dropout) {
  for (const auto& block : transformer_.h) block->attn.dropout = block->mlp.dropout = dropout;
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
