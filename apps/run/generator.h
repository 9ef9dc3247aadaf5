// Generation in one call: a prompt in, its continuation out. continuation.h has the steps.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/run/continuation.h"

namespace chapbook {

// The tokens of a prompt. A model that was trained on stories with <|endoftext|> between them has seen every
// beginning after one, so it is put first (`after_end`); so it is for an empty prompt, which would have no
// tokens at all.
std::vector<int32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view prompt, bool after_end = true);

// What a command was asked for, yes or no: throws for a `no` without a text, since a model begins with a
// token.
void check_after_end(const std::optional<bool>& after_end, std::string_view prompt);

// Continues a text, the beginning of a story unless told otherwise; `token` gets each new token as soon as it
// is drawn (the end of text too).
void generate(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
              const Sampling& sampling, const std::function<void(int32_t id)>& token, bool after_end = true);

// The same, giving what is new as text; bytes that are no character are shown as U+FFFD.
std::string tell(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
                 const Sampling& sampling, bool after_end = true);

// Beam search: of all continuations, one of the likeliest, where sampling would draw one. At each step, of
// everything that one more token can make of the `beams` texts at hand, the `beams` likeliest go on; those
// that end, by <|endoftext|> or one of `ends`, are kept aside, scored by their log-probability divided by
// length^length_penalty, the end counted. It is over when none that goes on could, as it stands, be one of
// the best `beams`. Prompt and tokens must fit the context.
struct Beam {
  std::vector<int32_t> said;  // without what ends it
  double log_probability = 0, score = 0;
};
std::vector<Beam> beam_search(const LanguageModel& model, const Tokenizer& tokenizer,
                              const std::vector<int32_t>& prompt, int64_t beams, int64_t tokens,
                              double length_penalty = 1,
                              const std::vector<int32_t>& ends = {});  // the best first

}  // namespace chapbook
