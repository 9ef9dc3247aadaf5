// Sampling: which token comes next, given a score for each. Pure functions on one row of logits (V). What is
// asked for is applied in this order, whatever the order it was said in:
//
//   1. logit bias           added to the scores of the tokens it names
//   2. repetition penalty   of tokens in the prompt or said since: positive scores are divided by it, and
//                           negative ones multiplied (Keskar et al. 2019, CTRL, section 4.1)
//   3. frequency, presence  taken from a token's score: so much for each time it was said, and so much if it
//                           was said at all; the prompt does not count (OpenAI's definition)
//   4. temperature          scores are divided by it, and softmax makes probabilities; 0: the largest score
//   5. top-k                the k likeliest tokens stay
//   6. top-p                of what is left, the shortest head whose share reaches p (Holtzman et al. 2020)
//   7. min-p                what is less likely than p times the likeliest goes (Nguyen et al. 2024)
//   8. the draw             from what is left, in proportion
//
// Of tokens that are equally likely the lower id comes first. One token always stays.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/random.h"
#include "tensor/recycle.h"

namespace chapbook {

struct TokenBias {
  int32_t id;
  double bias;
};

struct Sampling {
  double temperature = 0.8;
  int64_t top_k = 0;  // 0: all
  double top_p = 0.95;
  double min_p = 0;
  double repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  std::vector<TokenBias> logit_bias = {};
  uint64_t seed = 1;
  int64_t tokens = 512;                // the most to generate
  bool stop_at_end = true;             // at <|endoftext|>, and at
  std::vector<int32_t> ends = {};      // the tokens that by the model's files end a text
  std::vector<std::string> stop = {};  // and before any of these texts
};

void check_sampling(const Sampling& sampling);  // throws for what makes no sense, NaN among it

// Throws where scores are not numbers, as one such weight makes them all.
void check_scores(std::span<const float> logits);

struct Choice {
  int32_t id;
  double probability;
};
using Choices = RecycledVector<Choice>;

// Steps 1 to 3. `ids` is the text so far, of which the first `prompt` tokens were given and the rest said.
void adjust(std::span<float> logits, const Sampling& sampling, std::span<const int32_t> ids, int64_t prompt);

// Steps 4 to 7: what may be drawn, with probabilities that add up to 1. The likeliest come first wherever
// anything was cut.
Choices left_to_draw(std::span<const float> logits, const Sampling& sampling);

// Steps 4 to 8: a token.
int32_t sample(std::span<const float> logits, const Sampling& sampling, Random& random);

// All tokens with their probabilities softmax(logits / temperature), the likeliest first.
std::vector<Choice> ranked(std::span<const float> logits, double temperature = 1);

// log softmax(logits): what the model itself gives a token, before any of the above.
class LogProbabilities {
 public:
  explicit LogProbabilities(std::span<const float> logits);
  double operator()(int32_t id) const { return logits_[id] - log_sum_; }
  // The `count` likeliest tokens; `probability` is its log here.
  std::vector<Choice> likeliest(int64_t count) const;

 private:
  std::span<const float> logits_;
  double log_sum_;
};

}  // namespace chapbook
