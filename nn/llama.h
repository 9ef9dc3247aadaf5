// Llama: the language model of Touvron et al. 2023, as others build it too. What it has otherwise than a GPT:
// rotary positions in place of a table, norms without mean and bias, an MLP with a gate, keys and values that
// several heads of queries may share, and a head that may have a table of its own. Names of parts are those
// of published checkpoints; their matrices lie as (out, in), ours as (in, out).
#pragma once
#include <memory>
#include <vector>

#include "nn/embedding.h"
#include "nn/language_model.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/rotary.h"

namespace chapbook {

struct LlamaConfig {
  int64_t layers = 4, heads = 4, key_heads = 4, width = 128;
  int64_t head_width = 32;  // of a query, key or value; mostly width / heads
  int64_t inner = 352;      // numbers inside the MLP
  int64_t context = 128;    // the longest sequence
  int64_t vocabulary = 2048;
  bool attention_bias = false, mlp_bias = false;
  bool tied = true;  // the head is the token embedding again
  double norm_epsilon = 1e-5;
  double rope_theta = 10000;
  double dropout = 0;  // of the embeddings and of what each block adds
  bool operator==(const LlamaConfig&) const = default;
};

struct LlamaAttention : Module {
  int64_t heads, key_heads;
  Linear q_proj, k_proj, v_proj;  // (C, H D), (C, K D), (C, K D)
  Linear o_proj;                  // (H D, C)
  Dropout dropout;

  LlamaAttention(const LlamaConfig& config, Backend& backend);
  Variable operator()(const Variable& x, const Variable& residual, const Rotary& rotary, const Tensor& places,
                      CachesOfBlock caches) const;
  void parts(PartVisitor& visit) override;
};

struct LlamaBlock : Module {
  RMSNorm input_layernorm, post_attention_layernorm;
  LlamaAttention self_attn;
  GatedMLP mlp;

  LlamaBlock(const LlamaConfig& config, Backend& backend);
  Variable operator()(const Variable& x, const Rotary& rotary, const Tensor& places,
                      CachesOfBlock caches) const {
    const Variable seen = self_attn(input_layernorm(x), x, rotary, places, caches);
    return mlp(post_attention_layernorm(seen), seen);
  }
  void parts(PartVisitor& visit) override;
};

struct LlamaTransformer : Module {
  Embedding embed_tokens;
  std::vector<std::unique_ptr<LlamaBlock>> layers;
  RMSNorm norm;

  LlamaTransformer(const LlamaConfig& config, Backend& backend);
  void parts(PartVisitor& visit) override;
};

class Llama : public LanguageModel {
 public:
  explicit Llama(const LlamaConfig& config, Backend& backend = default_backend());

  std::string_view family() const override { return "llama"; }
  LlamaConfig config() const {  // with the share of dropout that it trains with now
    LlamaConfig config = config_;
    config.dropout = dropout();
    return config;
  }
  void parts(PartVisitor& visit) override;

 private:
  Variable embed(const Tensor& tokens, const Tensor&) const override { return model_.embed_tokens(tokens); }
  Variable block(int64_t i, const Variable& x, const Tensor& places, CachesOfBlock caches) const override {
    return (*model_.layers[i])(x, rotary_, places, caches);
  }
  Variable last_norm(const Variable& x) const override { return model_.norm(x); }
  const Variable& head() const override { return lm_head_ ? lm_head_->weight : model_.embed_tokens.weight; }
  void drop(const Dropout& dropout) override;

  LlamaConfig config_;
  LlamaTransformer model_;
  std::unique_ptr<Embedding> lm_head_;  // (V, C), where the head has a table of its own
  Rotary rotary_;
};

// As those of a GPT, in nn/gpt.h.
int64_t parameter_count(const LlamaConfig& config);
double training_flops_per_token(const LlamaConfig& config);
int64_t activation_bytes(const LlamaConfig& config, int64_t batch, bool recompute = false,
                         DType dtype = DType::f32, const Backend& backend = default_backend());

}  // namespace chapbook
