// Trainer: what a training run is made of between two checkpoints: the model, the optimizer, the schedule,
// and where the data and the random numbers stand. One call to step() is one update.
#pragma once
#include <memory>
#include <span>

#include "apps/run/recorded_pass.h"
#include "apps/run/settings.h"
#include "data/loader.h"
#include "nn/language_model.h"
#include "optim/optimizer.h"
#include "optim/scaler.h"
#include "optim/schedule.h"
#include "tensor/json.h"

namespace chapbook {

Schedule make_schedule(const Settings& settings);

// What the settings ask for; throws where the backend cannot train in it.
DType checked_precision(const Settings& settings, const Backend& backend);

class Trainer {
 public:
  // The tokens must outlive the trainer.
  Trainer(const Settings& settings, LanguageModel& model, std::span<const uint16_t> tokens);
  ~Trainer() {
    model_.train_with(nullptr);
    model_.compute_in(DType::f32);
  }
  Trainer(const Trainer&) = delete;

  struct Step {
    double loss;  // mean of the step's batches, before the update; nats per token
    double rate;
    double gradient_norm;  // before clipping
  };
  // In f16, batches whose gradients overflow are passed over: see optim/scaler.h.
  Step step();

  bool recorded() const { return pass_.recorded(); }  // passes are done from a recording
  int64_t steps() const { return optimizer_->steps(); }
  int64_t tokens() const { return steps() * tokens_per_step(); }
  int64_t tokens_per_step() const { return settings_.batch * settings_.context * settings_.accumulation; }

  // All that a checkpoint needs to go on bit for bit, apart from the model's weights.
  Json state() const;
  NamedTensors optimizer_state() const { return optimizer_->state(); }
  void restore(const Json& state, const NamedTensors& optimizer_state);

 private:
  // Of the batches of a step together, where the backend has them.
  struct Sums {
    Tensor loss, norm;
    double share;  // what the gradients, and with them the norm, are to be multiplied with
  };
  Sums accumulate();
  double loss_scale() const { return precision_ == DType::f16 ? scaler_.scale : 1; }
  Tensor forward_and_backward();  // of the next batch; gives its loss
  Tensor compute();               // the same, when the batch is there

  Settings settings_;
  LanguageModel& model_;
  std::span<const uint16_t> data_;
  DType precision_;
  Schedule schedule_;
  std::unique_ptr<Optimizer> optimizer_;
  Loader loader_;
  Random dropout_random_;
  std::vector<int32_t> next_inputs_, next_targets_;
  LossScaler scaler_;                // in f16
  Tensor inputs_, targets_, dloss_;  // what each batch starts from: tokens, and the loss's gradient
  RecordedPass pass_;
};

}  // namespace chapbook
