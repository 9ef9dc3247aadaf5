// Trainer: what a training run is made of between two checkpoints: the model, the optimizer, the schedule,
// and where the data and the random numbers stand. One call to step() is one update.
//
// A step is S shards, whose gradients add up in one tree. Several workers share them: each computes some, all
// add up (team/sum.h), each moves the weights of its slices, and all take them from each other. A batch's
// data and dropout belong to its place in the step, so N workers have the bits of one.
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "apps/run/gradient_sum.h"
#include "apps/run/recorded_pass.h"
#include "apps/run/settings.h"
#include "data/loader.h"
#include "nn/language_model.h"
#include "optim/optimizer.h"
#include "optim/scaler.h"
#include "optim/schedule.h"
#include "optim/slices.h"
#include "team/sum.h"
#include "tensor/json.h"

namespace chapbook {

Schedule make_schedule(const Settings& settings);

// What the settings ask for; throws where the backend cannot train in it.
DType checked_precision(const Settings& settings, const Backend& backend);

// For timing: what a step does depends on the shapes, not on the tokens.
std::vector<uint16_t> random_tokens(const Settings& settings);

struct NotFinite : Error {
  using Error::Error;
};

// What a worker has had to do with others since the beginning. What it did not wait for went on while it
// computed.
struct Communication {
  int64_t bytes_sent = 0;
  double seconds = 0;  // in exchanges, in whichever thread
  double waited = 0;   // of the thread that computes
};

class Trainer {
 public:
  // The tokens and the team must outlive the trainer. What learns is what wants a gradient (see nn/adapt.h);
  // of tokens that are not `counted` the targets are ignored. All workers of a team make the same calls, with
  // models of the same numbers.
  Trainer(const Settings& settings, LanguageModel& model, std::span<const uint16_t> tokens,
          Team& team = alone(), const std::vector<bool>* counted = nullptr);
  ~Trainer() {
    model_.train_with(nullptr);
    model_.compute_in(DType::f32);
  }
  Trainer(const Trainer&) = delete;

  struct Step {
    double loss;  // mean of the step's batches, before the update; nats per token
    double rate;
    double gradient_norm;  // before clipping
    int64_t skipped = 0;   // batches of outliers that were passed over before, see the setting skip_above
    double outlier = 0;    // the largest norm among them
  };
  // In f16, batches whose gradients overflow are passed over: see optim/scaler.h. Where loss or norm is not
  // finite it throws NotFinite, and the trainer is where it was before the step. `look` gets the gradients of
  // the step, of which each counts `share` times, before they are used.
  using Look = std::function<void(const std::vector<Parameter>& parameters, double share)>;
  Step step(const Look& look = {});

  // For looks before a run (trial.h): other rates than the settings' from now on, and in the next step the
  // first batch of all again, or the first that has a target which counts.
  void follow(Schedule rates) { schedule_ = std::move(rates); }
  void repeat_data();

  Communication communication() const;
  // Whether gradients may be on their way before the backward pass has ended: they are, unless told.
  void overlap(bool allowed) {
    if (sum_) sum_->overlap(allowed);
  }

  bool recorded() const { return pass_.recorded(); }  // passes are done from a recording
  int64_t steps() const { return optimizer_->steps(); }
  int64_t tokens() const { return steps() * tokens_per_step(); }
  int64_t tokens_per_step() const { return settings_.batch * settings_.context * settings_.accumulation; }

  // All that a checkpoint needs to go on bit for bit, apart from the model's weights.
  Json state() const;
  NamedTensors optimizer_state() const;  // of the whole model; in worker 0 of a team, nothing in the others
  void restore(const Json& state, const NamedTensors& optimizer_state);

 private:
  // Of the batches of a step together, where the backend has them.
  struct Sums {
    Tensor loss, norm;  // one f64 each
    double share;       // what the gradients, and with them the norm, are to be multiplied with
  };
  Sums accumulate();
  Sums without_outliers(Sums sums, Step& step);
  int64_t batches() const { return settings_.shards * shard_.batches; }  // of a step, of all workers
  double loss_scale() const { return precision_ == DType::f16 ? scaler_.scale : 1; }
  Tensor forward_and_backward();  // of the next batch; gives its loss
  Tensor compute();               // the same, when the batch is there
  void read_from(const LoaderState& place);
  void pass_over(int64_t batches);
  void clear_gradients();
  void load_optimizer(const NamedTensors& state, int64_t step);
  uint64_t draws_of_batch() const;

  // Of several workers, or several shards.
  PlacesOf weights() const;
  Sums sum_of_all(const Tensor& loss);
  template <class Exchange>
  void timed(Exchange exchange);

  Settings settings_;
  ShardsOfStep shard_;
  LanguageModel& model_;
  Team& team_;
  std::span<const uint16_t> data_;
  const std::vector<bool>* counted_;
  DType precision_;
  Schedule schedule_;
  Slices slices_;                   // of all parameters, one part for each shard
  Parts parts_;                     // those of this worker
  std::vector<Slices::Piece> own_;  // what lies in them: all, where it is alone
  std::unique_ptr<Optimizer> optimizer_;
  Loader loader_;
  Random dropout_random_;
  uint64_t draws_;                  // of a batch, where others compute some
  std::optional<GradientSum> sum_;  // of several shards
  double waited_ = 0;
  std::vector<int32_t> next_inputs_, next_targets_;
  LossScaler scaler_;                // in f16
  double usual_norm_ = 0;            // of the gradients lately, where outliers are skipped; 0: not known yet
  Tensor inputs_, targets_, dloss_;  // what each batch starts from: tokens, and the loss's gradient
  RecordedPass pass_;
};

}  // namespace chapbook
