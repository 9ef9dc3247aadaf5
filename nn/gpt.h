// GPT: the language model of Radford et al. 2019 (GPT-2). Names of parts and layouts of weights are those of
// GPT-2's published checkpoints.
#pragma once
#include <memory>
#include <vector>

#include "nn/embedding.h"
#include "nn/language_model.h"
#include "nn/mlp.h"
#include "nn/norm.h"

namespace chapbook {

struct GPTConfig {
  int64_t layers = 4, heads = 4, width = 128;
  int64_t context = 128;  // the longest sequence
  int64_t vocabulary = 2048;
  bool bias = true;    // in Linear and LayerNorm
  double dropout = 0;  // of the embeddings and of what each block adds
  bool operator==(const GPTConfig&) const = default;
};

struct Block : Module {
  LayerNorm ln_1, ln_2;
  Attention attn;
  MLP mlp;

  Block(const GPTConfig& config, Backend& backend);
  Variable operator()(const Variable& x, CachesOfBlock caches = {}) const {
    const Variable seen = attn(ln_1(x), x, caches);  // x + what attention finds
    return mlp(ln_2(seen), seen);                    // seen + what the MLP makes of it
  }
  void parts(PartVisitor& visit) override;
};

struct Transformer : Module {
  Embedding wte, wpe;  // of tokens and of places
  std::vector<std::unique_ptr<Block>> h;
  LayerNorm ln_f;

  Transformer(const GPTConfig& config, Backend& backend);
  void parts(PartVisitor& visit) override;
};

class GPT : public LanguageModel {
 public:
  explicit GPT(const GPTConfig& config, Backend& backend = default_backend());

  std::string_view family() const override { return "gpt2"; }
  GPTConfig config() const {  // with the share of dropout that it trains with now
    GPTConfig config = config_;
    config.dropout = dropout();
    return config;
  }
  void parts(PartVisitor& visit) override { visit("transformer", transformer_); }

 private:
  Variable embed(const Tensor& tokens, const Tensor& places) const override;
  Variable block(int64_t i, const Variable& x, const Tensor&, CachesOfBlock caches) const override {
    return (*transformer_.h[i])(x, caches);
  }
  Variable last_norm(const Variable& x) const override { return transformer_.ln_f(x); }
  // The token embedding again (Press & Wolf 2017): a score is how alike the last state and a token's row are.
  const Variable& head() const override { return transformer_.wte.weight; }
  void drop(const Dropout& dropout) override;

  GPTConfig config_;
  Transformer transformer_;
};

// What a model costs, counted from its configuration.
int64_t parameter_count(const GPTConfig& config);
// Multiplications and additions, each counted as one, to train on one token: forward and backward. Products
// of weights cost 6 per weight; causal attention at context T costs, per layer, 14 C (T + 1) / 2 (2 products
// forward, 5 backward, half the square).
double training_flops_per_token(const GPTConfig& config);
// Bytes of activations when backward begins, a training step's fullest moment, or with `recompute` when it
// has computed the last block again, for `batch` sequences of the full context; weights, their gradients and
// the optimizer's state come on top. `dtype` is that of hidden states; with a half type, products have copies
// of the weights in it.
int64_t activation_bytes(const GPTConfig& config, int64_t batch, bool recompute = false,
                         DType dtype = DType::f32, const Backend& backend = default_backend());

}  // namespace chapbook
