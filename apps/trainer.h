// Trainer: what a training run is made of between two checkpoints: the model, the optimizer, the schedule,
// and where the data and the random numbers stand. One call to step() is one update.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "apps/settings.h"
#include "data/loader.h"
#include "nn/gpt.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

namespace chapbook {

Schedule make_schedule(const Settings& settings);

class Trainer {
 public:
  // The tokens must outlive the trainer.
  Trainer(const Settings& settings, GPT& gpt, std::span<const uint16_t> tokens);
  ~Trainer() { gpt_.train_with(nullptr); }
  Trainer(const Trainer&) = delete;

  struct Step {
    double loss;  // mean of the step's batches, before the update; nats per token
    double rate;
    double gradient_norm;  // before clipping
  };
  Step step();

  int64_t steps() const { return optimizer_->steps(); }
  int64_t tokens() const { return steps() * tokens_per_step(); }
  int64_t tokens_per_step() const { return settings_.batch * settings_.context * settings_.accumulation; }

  // All that a checkpoint needs to go on bit for bit, apart from the model's weights.
  nlohmann::ordered_json state() const;
  NamedTensors optimizer_state() const { return optimizer_->state(); }
  void restore(const nlohmann::ordered_json& state, const NamedTensors& optimizer_state);

 private:
  Tensor forward_and_backward();  // of the next batch; gives its loss

  Settings settings_;
  GPT& gpt_;
  std::span<const uint16_t> data_;
  Schedule schedule_;
  std::unique_ptr<Optimizer> optimizer_;
  Loader loader_;
  Random dropout_random_;
  std::vector<int32_t> next_inputs_, next_targets_;
  Tensor inputs_, targets_;  // what the model reads, batch after batch
};

// What a model is worth on tokens it predicts one after another, in windows of its context; at most `batches`
// of them (0: all).
struct Score {
  double loss = 0;      // nats per token
  int64_t targets = 0;  // tokens predicted
};
Score evaluate(const GPT& gpt, std::span<const uint16_t> tokens, int64_t batch, int64_t batches = 0);

// Bits the model needs for a byte of the text behind `tokens`: what models with different vocabularies can be
// compared by.
double bits_per_byte(const Score& score, int64_t tokens, int64_t text_bytes);

}  // namespace chapbook
