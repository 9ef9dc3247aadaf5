#include "nn/llama.h"

#include <algorithm>
#include <cmath>

namespace chapbook {

static const LlamaConfig& checked(const LlamaConfig& c) {
  check(c.layers > 0 && c.width > 0 && c.inner > 0 && c.context > 0 && c.vocabulary > 0,
        "llama: layers {}, width {}, inner {}, context {} and vocabulary {} must all be positive", c.layers,
        c.width, c.inner, c.context, c.vocabulary);
  check(c.heads > 0 && c.key_heads > 0 && c.heads % c.key_heads == 0,
        "llama: {} heads of keys do not divide {} heads of queries", c.key_heads, c.heads);
  check(c.head_width > 0 && c.head_width % 2 == 0,
        "llama: a head of {} numbers cannot be turned; it must be even", c.head_width);
  return c;
}

// First weights as a GPT's: 0.02, and 0.02 / sqrt(2 layers) for what adds to the stream.
static constexpr double first_deviation = 0.02;
static double added_deviation(const LlamaConfig& config) {
  return first_deviation / std::sqrt(2.0 * static_cast<double>(config.layers));
}

LlamaAttention::LlamaAttention(const LlamaConfig& c, Backend& backend)
    : heads(c.heads),
      key_heads(c.key_heads),
      q_proj(c.width, c.heads * c.head_width, c.attention_bias, backend),
      k_proj(c.width, c.key_heads * c.head_width, c.attention_bias, backend),
      v_proj(c.width, c.key_heads * c.head_width, c.attention_bias, backend),
      o_proj(c.heads * c.head_width, c.width, c.attention_bias, backend) {
  q_proj.deviation = k_proj.deviation = v_proj.deviation = first_deviation;
  o_proj.deviation = added_deviation(c);
}

Variable LlamaAttention::operator()(const Variable& x, const Variable& residual, const Rotary& rotary,
                                    const Tensor& places, CachesOfBlock caches) const {
  const Within within("attention");
  const Variable q = rotary(split_heads(q_proj(x), heads), places);      // (B, H, T, D)
  const Variable k = rotary(split_heads(k_proj(x), key_heads), places);  // (B, K, T, D)
  const Variable v = split_heads(v_proj(x), key_heads);
  return dropout.add(residual, o_proj, attend(q, k, v, caches));
}

void LlamaAttention::parts(PartVisitor& visit) {
  visit("q_proj", q_proj);
  visit("k_proj", k_proj);
  visit("v_proj", v_proj);
  visit("o_proj", o_proj);
}

LlamaBlock::LlamaBlock(const LlamaConfig& config, Backend& backend)
    : input_layernorm(config.width, config.norm_epsilon, backend),
      post_attention_layernorm(config.width, config.norm_epsilon, backend),
      self_attn(config, backend),
      mlp(config.width, config.inner, config.mlp_bias, backend) {
  mlp.gate_proj.deviation = mlp.up_proj.deviation = first_deviation;
  mlp.down_proj.deviation = added_deviation(config);
}

void LlamaBlock::parts(PartVisitor& visit) {
  visit("input_layernorm", input_layernorm);
  visit("self_attn", self_attn);
  visit("post_attention_layernorm", post_attention_layernorm);
  visit("mlp", mlp);
}

LlamaTransformer::LlamaTransformer(const LlamaConfig& config, Backend& backend)
    : embed_tokens(config.vocabulary, config.width, backend),
      norm(config.width, config.norm_epsilon, backend) {
  for (int64_t i = 0; i < config.layers; ++i) layers.push_back(std::make_unique<LlamaBlock>(config, backend));
}

void LlamaTransformer::parts(PartVisitor& visit) {
  visit("embed_tokens", embed_tokens);
  for (size_t i = 0; i < layers.size(); ++i) visit("layers." + std::to_string(i), *layers[i]);
  visit("norm", norm);
}

Llama::Llama(const LlamaConfig& config, Backend& backend)
    : LanguageModel({.layers = checked(config).layers,
                     .context = config.context,
                     .vocabulary = config.vocabulary,
                     .key_heads = config.key_heads,
                     .head_width = config.head_width,
                     .dropout = config.dropout}),
      config_(config),
      model_(config, backend),
      lm_head_(config.tied ? nullptr : std::make_unique<Embedding>(config.vocabulary, config.width, backend)),
      rotary_(config.context, config.head_width, config.rope_theta, backend) {}

void Llama::parts(PartVisitor& visit) {
  visit("model", model_);
  if (lm_head_) visit("lm_head", *lm_head_);
}

void Llama::drop(const Dropout& dropout) {
  for (const auto& block : model_.layers) block->self_attn.dropout = block->mlp.dropout = dropout;
}

// Numbers of a block's matrices.
static int64_t matrices(const LlamaConfig& c) {
  return c.width * c.head_width * 2 * (c.heads + c.key_heads) + 3 * c.width * c.inner;
}

int64_t parameter_count(const LlamaConfig& c) {
  const int64_t C = c.width, D = c.head_width;
  const int64_t biases =
      c.attention_bias * ((c.heads + 2 * c.key_heads) * D + C) + c.mlp_bias * (2 * c.inner + C);
  return (c.tied ? 1 : 2) * c.vocabulary * C + c.layers * (matrices(c) + biases + 2 * C) + C;
}

double training_flops_per_token(const LlamaConfig& c) {
  const double L = c.layers, V = c.vocabulary, T = c.context;
  return 6 * (L * static_cast<double>(matrices(c)) + V * c.width) +
         14 * L * c.heads * c.head_width * (T + 1) / 2;
}

int64_t activation_bytes(const LlamaConfig& c, int64_t batch, bool recompute, DType dtype,
                         const Backend& backend) {
  const int64_t N = batch * c.context, C = c.width, V = c.vocabulary, masks = c.dropout > 0;
  const int64_t bytes = size_of(dtype);
  const bool half = dtype != DType::f32;
  // A block keeps the residual stream before each norm and both norms' results (4 C), queries, keys and
  // values as they were turned, what attention gives, the MLP's gate, what goes through it, and both
  // together, and two masks; the norms keep a number a row, attention one for every head.
  const int64_t row = (4 + 2 * masks) * C + 2 * (c.heads + c.key_heads) * c.head_width + 3 * c.inner;
  const int64_t block = N * (row * bytes + (2 + c.heads) * 4) + (half ? bytes * matrices(c) : 0);
  // The head, and blocks that are computed again, as in a GPT.
  const int64_t tile = logits_at_once(N, V, backend);
  const int64_t head = N * (3 * C * bytes + 4) + tile * (V * bytes + 4) + (half ? bytes * V * C : 0);
  const int64_t blocks = c.layers * (recompute ? N * C * bytes : block);
  return N * masks * C * bytes + blocks + (recompute ? std::max(head, block) : head);
}

}  // namespace chapbook
