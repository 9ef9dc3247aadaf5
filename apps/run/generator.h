// Generation: one token after another, each drawn from what the model thinks may come next.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/run/sampling.h"
#include "data/bpe.h"
#include "nn/language_model.h"

namespace chapbook {

bool ends_text(int32_t id, const Tokenizer& tokenizer, const Sampling& sampling);

// Continues `prompt`; an empty one is taken as the start of a story. `token` gets each new token as soon as
// it is drawn (the end of text too). When the context is full, the last half of it is kept and the model goes
// on from there.
void generate(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
              const Sampling& sampling, const std::function<void(int32_t id)>& token);

// The same as text, without the prompt; bytes that are no character are shown as U+FFFD.
std::string tell(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
                 const Sampling& sampling);

}  // namespace chapbook
