// Generation: one token after another, each drawn from what the model thinks may come next.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/bpe.h"
#include "nn/language_model.h"

namespace chapbook {

struct Sampling {
  double temperature = 0.8;  // scores are divided by it; 0: always the likeliest token
  int64_t top_k = 0;         // only the k likeliest tokens; 0: all
  double top_p = 0.95;       // only the likeliest tokens that together have this share (Holtzman et al. 2020)
  uint64_t seed = 1;
  int64_t tokens = 512;     // the most to generate
  bool stop_at_end = true;  // at <|endoftext|>
};

void check_sampling(const Sampling& sampling);  // throws for what makes no sense, NaN among it

struct Choice {
  int32_t id;
  double probability;
};

// All tokens with their probabilities softmax(logits / temperature), the likeliest first; of equals, the
// lower id first.
std::vector<Choice> ranked(std::span<const float> logits, double temperature = 1);

// A token drawn from the logits (V).
int32_t sample(std::span<const float> logits, const Sampling& sampling, Random& random);

// Continues `prompt`; an empty one is taken as the start of a story. `token` gets each new token as soon as
// it is drawn (the end of text too). When the context is full, the last half of it is kept and the model goes
// on from there.
void generate(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
              const Sampling& sampling, const std::function<void(int32_t id)>& token);

// The same as text, without the prompt.
std::string tell(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
                 const Sampling& sampling);

}  // namespace chapbook
