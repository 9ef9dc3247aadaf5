// Run: one training run in its directory, from a text to a model that tells stories, new or gone on with.
// What it has to tell comes as lines through `say`, so that a command can print them and a test can look at
// them.
#pragma once
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apps/report/progress.h"
#include "apps/run/checkpoint.h"
#include "apps/run/evaluation.h"
#include "apps/run/fine_tuning.h"
#include "apps/run/generator.h"
#include "apps/run/metrics.h"
#include "apps/run/trainer.h"
#include "data/token_file.h"

namespace chapbook {

// One step of a run, done again: what it computed, and whether the log says the same.
struct Replayed {
  int64_t from = 0;  // the checkpoint's step; 0: the beginning
  Trainer::Step step;
  std::vector<std::pair<std::string, double>> norms;  // of the gradient of each parameter
  std::string sha256;                                 // of all parameters after the step
  std::string origin;                                 // of the first number that is not finite, or nothing
  std::optional<double> logged_loss;                  // of metrics.csv
};

// Token files with the tokenizer that made them.
struct TrainingData {
  Tokenizer tokenizer;
  TokenFile train, valid;
};
TrainingData open_training_data(const std::string& directory);  // one that prepare() made

struct RunOptions {
  std::string data = {};       // text, a directory of texts, or one of token files; nothing: built-in stories
  std::string valid = {};      // text; nothing: some stories are set aside
  std::string tokenizer = {};  // one there is; nothing: one is learned
  std::string directory = {};  // of the run
  bool numbered = false;       // the first that is free of directory, directory-2, directory-3, ...
  int64_t stories = 20000;     // how many built-in ones
  std::optional<double> valid_share = {};  // of a text without `valid`, set aside; nothing: the usual one
  FineTuning from = {};  // the model to begin with; its sizes and tokenizer take the place of the settings'
  Settings settings = {};
};

// Token files that are there already are used where they lie, given as an absolute path; a text becomes token
// files inside the run, in "data".
std::string data_directory(const RunOptions& options);

class Run {
 public:
  using Say = std::function<void(std::string_view line)>;

  // A new run in options.directory. What cannot start throws and leaves nothing behind. A run is locked:
  // where another process has it, both throw naming that. The workers of a team make the same calls; worker 0
  // has the files, and `say` is for it alone.
  static std::unique_ptr<Run> start(const RunOptions& options, Say say, Team& team = alone());
  // The run of that directory, from its last checkpoint; it ends with the bits of one without a break, by
  // however many workers.
  static std::unique_ptr<Run> resume(const std::string& directory, Say say, Team& team = alone());

  // Step `step` of the run, from the last checkpoint before it or from its beginning; nothing of the run
  // changes.
  static Replayed replay(const std::string& directory, int64_t step);

  // Until the steps are done, or until `stop` is set; then saves.
  void train(const volatile std::sig_atomic_t& stop);
  bool done() const;
  // The last evaluation, the curve, the results, a story. In worker 0 only, which then needs no others.
  void finish();

  const std::string& directory() const { return directory_; }
  const Trainer& trainer() const { return trainer_; }

 private:
  Run(std::optional<os::File> lock, Team& team, std::string directory, RunState state, TrainingData data,
      std::unique_ptr<LanguageModel> model, const SavedRun* saved, Say say);

  size_t peak_bytes() const { return model_->backend().blocks().peak_bytes(); }
  double seconds() const;  // of training, over all its sittings
  bool first_worker() const { return team_.rank() == 0; }
  void log_step(const Trainer::Step& step, const Communication& with_others, double speed,
                Progress& progress);
  void evaluate_now(std::optional<Progress>& progress);  // in worker 0 there is one
  void save();
  void sample(int64_t tokens);  // tells a story, shows it and keeps it
  Trainer::Step next_step();
  Sampling sampling(int64_t tokens) const;
  // On the validation text, or on the answers in it.
  Score validation_score(const LanguageModel& model, int64_t batches, Team& team) const;

  std::optional<os::File> lock_;  // worker 0's
  Team& team_;
  std::string directory_;
  RunState state_;
  Settings settings_;
  TrainingData data_;
  std::vector<bool> train_answers_, valid_answers_;  // where only these count
  std::unique_ptr<LanguageModel> model_;
  Trainer trainer_;
  std::unique_ptr<MetricsLog> log_;
  Say say_;
  bool fresh_;
  int64_t first_step_ = trainer_.steps();  // of this sitting
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double seconds_before_ = state_.seconds;
};

}  // namespace chapbook
