// LanguageModel: tokens in, a score for every possible next token out. This is all that training, evaluation,
// generation and checkpoints know of a model. What the models here share is done once: blocks add to a stream
// of hidden states, a norm and a head make scores of it. A family (gpt.h, ...) says what its parts are.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "nn/attention.h"
#include "tensor/packed.h"

namespace chapbook {

// Throughout: B sequences of T tokens, width C, V tokens in the vocabulary.
class LanguageModel : public Module {
 public:
  virtual std::string_view family() const = 0;  // its name
  int64_t context() const { return sizes_.context; }
  int64_t vocabulary() const { return sizes_.vocabulary; }
  Backend& backend() const { return head().value().backend(); }

  // tokens (B, T) i32 -> logits (B, T, V): scores(stream(tokens)).
  Variable operator()(const Tensor& tokens) const;
  Variable stream(const Tensor& tokens) const;    // (B, T, C): hidden states behind the last block
  Variable scores(const Variable& stream) const;  // (..., C), as it stands behind any block -> (..., V)

  // The same for evaluation, as rows (B T, V) of which few are there at once: visit(first row, logits).
  void each_logits(const Tensor& tokens,
                   const std::function<void(int64_t first, const Tensor& logits)>& visit) const;

  // Mean cross-entropy of predicting targets (B, T); -100 does not count.
  Variable loss(const Tensor& tokens, const Tensor& targets, double label_smoothing = 0) const;

  // Generation: logits (B, V) after the next T tokens of B sequences, given what the caches of each hold; the
  // same numbers as the last place of a full forward pass, up to rounding. A token for each of up to
  // `together` sequences, which may differ in length, gives the same bits as for one of them alone; on
  // cuda that is not promised.
  using Caches = std::vector<KeyValueCache>;  // of one sequence: one for each block
  static constexpr int64_t together = few_rows;
  Caches caches() const;
  Tensor next(const Tensor& tokens, std::span<Caches* const> sequences) const;
  Tensor next(const Tensor& tokens, Caches& caches) const {
    Caches* const one = &caches;
    return next(tokens, {&one, 1});
  }

  // Training in mixed precision (Micikevicius et al. 2018): hidden states and what products read are of this
  // dtype, as are their gradients. Parameters, their gradients, statistics of norms, softmax and the loss
  // stay f32, and so does generation. See nn/README.md.
  void compute_in(DType dtype) { dtype_ = dtype; }

  // Training with another share of dropout than the model was made with, from the next train_with() on.
  void drop_out(double share) { sizes_.dropout = share; }
  double dropout() const { return sizes_.dropout; }

  // From now on only for generation and evaluation: every Linear's matrix and the head's table are laid out
  // for it in fewer bits (tensor/packed.h), and the Linears' own are let go. Embeddings stay f32. What cannot
  // be done then says so: gradients, saving.
  void pack_weights(Packing packing);
  bool packed() const { return static_cast<bool>(packed_head_); }
  // Bytes of weights that a token reads in products.
  int64_t weight_bytes();

  // While `random` is set, dropout draws its masks from there. With `recompute`, a training step keeps only
  // the input of each block, and backward computes the block again: the same bits for less memory and about a
  // third more time. Nothing of both for evaluation.
  void train_with(Random* random, bool recompute = false);

 protected:
  struct Sizes {
    int64_t layers, context, vocabulary;  // blocks; the longest sequence; different tokens
    int64_t key_heads, head_width;        // of a block's keys and values
    double dropout;                       // of the embeddings, and for drop()
  };
  explicit LanguageModel(const Sizes& sizes) : sizes_(sizes) {}

 private:
  // What a family is. `places` (B, T) i32 says where each token stands in its sequence; nothing: at 0 to T
  // - 1.
  virtual Variable embed(const Tensor& tokens, const Tensor& places) const = 0;  // (B, T) -> (B, T, C)
  virtual Variable block(int64_t i, const Variable& x, const Tensor& places,
                         CachesOfBlock caches) const = 0;  // (B, T, C) -> (B, T, C)
  virtual Variable last_norm(const Variable& x) const = 0;
  virtual const Variable& head() const = 0;       // (V, C): a row's product with a hidden state is a score
  virtual void drop(const Dropout& dropout) = 0;  // in the blocks, from now on

  void check_tokens(const Tensor& tokens, int64_t before) const;
  Variable hidden(const Tensor& tokens) const;  // (B, T, C): what the head scores
  Tensor scored(const Tensor& x) const;         // (N, C), behind the last norm -> (N, V)
  // Block i as it names itself to who looks (autograd/watch.h): its number, with its result as "stream".
  Variable named_block(int64_t i, const Variable& x, const Tensor& places, CachesOfBlock caches) const;
  Variable recomputed(int64_t i, const Variable& x) const;

  Sizes sizes_;
  Dropout dropout_;
  PackedMatrix packed_head_;  // (C, V), or nothing
  bool recompute_ = false;
  DType dtype_ = DType::f32;  // of hidden states
};

}  // namespace chapbook
