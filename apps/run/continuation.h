// A text that is being continued, token by token, and the one step that does so for many of them together.
// What a text becomes does not depend on which others are computed with it: the same bits as alone (see
// LanguageModel::next). So a text may join and leave between any two steps, which is called continuous
// batching (Yu et al. 2022, Orca).
#pragma once
#include <span>
#include <string>
#include <vector>

#include "apps/run/sampling.h"
#include "apps/run/stop_text.h"
#include "nn/language_model.h"

namespace chapbook {

// Whether it is <|endoftext|> or one of `ends`, which are the model's.
bool ends_text(int32_t id, const Tokenizer& tokenizer, const std::vector<int32_t>& ends);

class Continuation {
 public:
  enum class End { none, stop, length };  // goes on; <|endoftext|> or a text to stop at; enough tokens

  // `prompt`: at least one token. Of each new token, `alternatives` others are kept with their
  // log-probabilities, the likeliest. The model and the tokenizer must outlive this.
  Continuation(const LanguageModel& model, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
               const Sampling& sampling, int64_t alternatives = -1);

  std::span<const int32_t> ids() const { return ids_; }  // the prompt and what was said
  std::span<const int32_t> said() const { return ids().subspan(prompt_); }
  End end() const { return end_; }

  // About the newest token, after a step: its log-probability by the model itself (before all that Sampling
  // asks for), that of the likeliest ones, and the text that can be shown now. Only with alternatives >= 0
  // are the first two known.
  double log_probability() const { return log_probability_; }
  const std::vector<Choice>& likeliest() const { return likeliest_; }
  const std::string& text() const { return text_; }

 private:
  friend void step(const LanguageModel& model, std::span<Continuation* const> all);
  std::span<const int32_t> unseen();  // what the model has yet to see
  void say(std::span<float> logits);

  const Tokenizer* tokenizer_;
  Sampling sampling_;
  std::vector<int32_t> ids_;
  int64_t prompt_, context_, alternatives_;
  int64_t window_ = 0;  // the model sees the text from here on
  LanguageModel::Caches caches_;
  Random random_;
  StopText stop_text_;
  std::string text_;
  double log_probability_ = 0;
  std::vector<Choice> likeliest_;
  End end_ = End::none;
};

// What one sequence has seen, for another.
void copy(const LanguageModel::Caches& from, LanguageModel::Caches& to);

// One more token for each of them that goes on. When the context is full, the last half of it is kept. A
// prompt is computed when it first comes, and prompts that come together and are equal only once.
void step(const LanguageModel& model, std::span<Continuation* const> all);

}  // namespace chapbook
