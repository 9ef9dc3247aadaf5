// Training that begins with a model that is there: a run, or a directory from Hugging Face. What it begins
// with lies in the run as RUN/base, with the run's tokenizer, and adapters name it; the source is not needed
// again.
#pragma once
#include <optional>
#include <string>

#include "apps/run/model_directory.h"
#include "apps/run/settings.h"
#include "tensor/json.h"

namespace chapbook {

struct FineTuning {
  std::string from;    // a model directory or a run; nothing: training begins with random numbers
  std::string words;   // a file of words, one a line, that the tokenizer is to have as tokens
  int64_t window = 0;  // tokens to train on at once, where that is not all of the model's context
  std::optional<double> dropout = {};  // where that is not the model's own
  std::string old_text;  // to see what is forgotten; nothing: the validation text of the run it comes from
};

// What the settings of a command say of that model: fewer tokens at once than it sees, and dropout, are ways
// to train it. Throws for sizes, of which it has its own.
void train_as_given(FineTuning& from, const SettingsOptions::Names& given, const Settings& settings);

// Writes RUN/base and opens it. New words get rows in the tables of tokens, each the mean of the rows of its
// parts; old rows are as they were.
Model begin_with(const FineTuning& options, const std::string& base);

// The settings as they are with that model: its sizes are its own.
Settings settings_with(Settings settings, const LanguageModel& model, const FineTuning& options);

// Freezes what `settings` do not want to learn, and adds ways of low rank where they are to and the model has
// none.
void choose_what_learns(LanguageModel& model, const Settings& settings);

// What RunState::begun_from holds: where the model comes from, and what it was worth on its old text, if
// there is one. Keeps the first 100,000 tokens of that text in the directory `base`.
Json begun_from(const FineTuning& options, const Model& model, const std::string& base, int64_t batch);
// The loss on that text again: {"from", "old_text", "old_tokens", "loss_before", "loss_after"}.
Json forgetting(const Json& begun_from, const LanguageModel& model, const std::string& base, int64_t batch);

}  // namespace chapbook
