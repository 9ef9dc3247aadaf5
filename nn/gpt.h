// GPT: the language model of Radford et al. 2019 (GPT-2). Tokens in, a score for every possible next token
// out. Names of parts and layouts of weights are those of GPT-2's published checkpoints.
#pragma once
#include <memory>
#include <vector>

#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/mlp.h"
#include "nn/norm.h"

namespace chapbook {

// Throughout: B sequences of T tokens, width C, H heads, V tokens in the vocabulary.
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
  Variable operator()(const Variable& x) const {
    const Variable seen = attn(ln_1(x), x);  // x + what attention finds
    return mlp(ln_2(seen), seen);            // seen + what the MLP makes of it
  }
  Tensor operator()(const Tensor& x, std::span<KeyValueCache* const> caches) const;
  void parts(PartVisitor& visit) override;
};

struct Transformer : Module {
  Embedding wte, wpe;  // of tokens and of places
  std::vector<std::unique_ptr<Block>> h;
  LayerNorm ln_f;

  Transformer(const GPTConfig& config, Backend& backend);
  void parts(PartVisitor& visit) override;
};

class GPT : public Module {
 public:
  explicit GPT(const GPTConfig& config, Backend& backend = default_backend());

  // tokens (B, T) i32 -> logits (B, T, V). The head is the token embedding again (Press & Wolf 2017): a score
  // is how alike the last state and a token's row are.
  Variable operator()(const Tensor& tokens) const;

  // Mean cross-entropy of predicting targets (B, T); -100 does not count.
  Variable loss(const Tensor& tokens, const Tensor& targets, double label_smoothing = 0) const;

  // Generation: logits (B, V) after the next T tokens of B sequences, given what the caches of each hold; the
  // same numbers as the last place of a full forward pass, up to rounding. A token for each of up to
  // `together` sequences, which may differ in length, gives the same bits as for one of them alone; on
  // cuda that is not promised.
  using Caches = std::vector<KeyValueCache>;  // of one sequence: one for each block
  static constexpr int64_t together = 16;     // rows of a product that are computed alike (see gemm_skinny)
  Caches caches() const;
  Tensor next(const Tensor& tokens, std::span<Caches* const> sequences) const;
  Tensor next(const Tensor& tokens, Caches& caches) const {
    Caches* const one = &caches;
    return next(tokens, {&one, 1});
  }

  // GPT-2's initialisation: weights from a normal distribution of deviation 0.02, places 0.01, the
  // projections that add to the residual stream 0.02 / sqrt(2 layers); biases 0.
  void initialise(Random& random);

  // Training in mixed precision (Micikevicius et al. 2018): hidden states and what products read are of this
  // dtype, as are their gradients. Parameters, their gradients, statistics of norms, softmax and the loss
  // stay f32, and so does generation. See nn/README.md.
  void compute_in(DType dtype) { dtype_ = dtype; }

  // While `random` is set, dropout draws its masks from there. With `recompute`, a training step keeps only
  // the input of each block, and backward computes the block again: the same bits for less memory and about a
  // third more time. Nothing of both for evaluation.
  void train_with(Random* random, bool recompute = false);

  const GPTConfig& config() const { return config_; }
  Backend& backend() const { return transformer_.wte.weight.value().backend(); }
  void parts(PartVisitor& visit) override { visit("transformer", transformer_); }

 private:
  Variable hidden(const Tensor& tokens) const;  // (B, T, C): what the head scores
  Variable embed(const Tensor& tokens, std::span<Caches* const> sequences) const;  // those of a text, if any

  GPTConfig config_;
  Transformer transformer_;
  Dropout dropout_;
  bool recompute_ = false;
  DType dtype_ = DType::f32;  // of hidden states
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
