// What a model is worth on a text: loss, accuracy, bits per byte.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/bpe.h"
#include "data/loader.h"
#include "nn/language_model.h"
#include "team/team.h"

namespace chapbook {

struct Score {
  double loss = 0;             // nats per token
  int64_t targets = 0;         // tokens predicted
  int64_t top1 = 0, top5 = 0;  // of them the likeliest, and among the five likeliest; only where asked for
};

struct EvaluationOptions {
  int64_t batch = 8;      // windows computed at once
  int64_t batches = 0;    // at most so many, of those with a target that counts; 0: all
  int64_t stride = 0;     // tokens between the beginnings of windows; 0: side by side
  bool accuracy = false;  // counts top1 and top5, for which logits are made, a few rows at a time
  const std::vector<bool>* counted = nullptr;  // of each token, whether it is a target; nothing: all are
  std::function<void(int64_t batch, int64_t of, const Score& so_far)> progress = {};
  Team* team = &alone();  // whose workers share the batches, and all have the score
};

// The score on tokens that are predicted one after another, in windows of the model's context. Throws where
// the loss is not a number.
Score evaluate(const LanguageModel& model, TokenIds tokens, const EvaluationOptions& options = {});

// Bits the model needs for a byte of the text behind `tokens`: what models with different vocabularies can be
// compared by.
double bits_per_byte(const Score& score, int64_t tokens, int64_t text_bytes);

// The tokens of a text or token file, and the bytes they stand for (0: not known).
struct EvaluationText {
  std::vector<int32_t> tokens;
  int64_t bytes = 0;
};
EvaluationText evaluation_text(const std::string& path, const Tokenizer& tokenizer);

}  // namespace chapbook
