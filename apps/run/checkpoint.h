// Checkpoints of a run: RUN/last, from which training goes on, and RUN/best, the model of the lowest
// validation loss. Each is a model directory (apps/run/model_directory.h); `last` also holds
// optimizer.safetensors and trainer.json, as do RUN/step-N, where they are kept, and RUN/broken, where a run
// stood before a step that gave no finite numbers. A checkpoint is written to a directory of its own, synced,
// and put in place at once: a kill at any instant leaves a complete one.
#pragma once
#include <string>

#include "apps/run/model_directory.h"
#include "apps/run/settings.h"
#include "apps/run/trainer.h"
#include "tensor/json.h"

namespace chapbook {

// How far a run is, beyond what the trainer itself knows.
struct RunState {
  Settings settings;
  std::string data;         // the directory of its token files, absolute or from the run
  std::string data_is;      // what they held when the run began
  double best_loss = 0;     // lowest validation loss so far
  int64_t evaluations = 0;  // so far
  int64_t evaluations_since_best = 0;
  double seconds = 0;              // of training, over all its sittings
  Json begun_from = {};            // of a model that was there, see fine_tuning.h
  std::vector<int32_t> ends = {};  // what ends a text, in the model's own files; nothing: the tokenizer's end
};

void save_best(const std::string& run, const RunState& state, LanguageModel& model,
               const Tokenizer& tokenizer);

// As RUN/NAME; `optimizer` is Trainer::optimizer_state(). Of RUN/step-N only the last `keep` stay.
void save_as(const std::string& name, const std::string& run, const RunState& state, const Trainer& trainer,
             const NamedTensors& optimizer, LanguageModel& model, const Tokenizer& tokenizer);
void save_step(const std::string& run, int64_t keep, const RunState& state, const Trainer& trainer,
               const NamedTensors& optimizer, LanguageModel& model, const Tokenizer& tokenizer);

// Takes away all models, of which a run that begins in its directory anew has none yet.
void remove_models(const std::string& run);

// What trainer.json says; `trainer` is for Trainer::restore.
struct SavedRun {
  RunState state;
  int64_t step = 0;  // how many are done
  Json trainer;
  NamedTensors optimizer;
};
SavedRun load_last(const std::string& run);
// Of last, of a step-N, or of what a step left that could not be done.
SavedRun load_saved(const std::string& directory);
void check_has_last(const std::string& run);  // throws unless there is something to load

}  // namespace chapbook
