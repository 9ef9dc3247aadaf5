// Generation: one token after another, each drawn from what the model thinks may come next.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/bpe.h"
#include "nn/gpt.h"

namespace chapbook {

struct Sampling {
  double temperature = 0.8;  // scores are divided by it; 0: always the likeliest token
  int64_t top_k = 0;         // only the k likeliest tokens; 0: all
  double top_p = 0.95;       // only the likeliest tokens that together have this share (Holtzman et al. 2020)
  uint64_t seed = 1;
  int64_t tokens = 512;            // the most to generate
  bool stop_at_end = true;         // at <|endoftext|>, or at
  std::vector<int32_t> ends = {};  // what the model's files say ends a text
};

void check_sampling(const Sampling& sampling);  // throws for what makes no sense, NaN among it
bool ends_text(int32_t id, const Tokenizer& tokenizer, const Sampling& sampling);

// Throws where a model's scores are not numbers, as they are with one such weight.
void check_scores(std::span<const float> logits);

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
void generate(const GPT& gpt, const Tokenizer& tokenizer, std::string_view prompt, const Sampling& sampling,
              const std::function<void(int32_t id)>& token);

// The same as text, without the prompt; bytes that are no character are shown as U+FFFD.
std::string tell(const GPT& gpt, const Tokenizer& tokenizer, std::string_view prompt,
                 const Sampling& sampling);

}  // namespace chapbook
