#include "apps/run/trainer.h"

#include <nlohmann/json.hpp>

#include <cmath>

#include "apps/run/faults.h"
#include "nn/adapt.h"
#include "optim/clip.h"
#include "tensor/profile/phase.h"

namespace chapbook {

Schedule make_schedule(const Settings& settings) {
  const double rate = settings.rate, last = settings.rate * settings.min_rate;
  const int64_t warmup = settings.warmup, steps = settings.steps, left = std::max<int64_t>(1, steps - warmup);
  const auto after_warmup = [&](Schedule schedule) {
    return chain(
        {{linear(rate / static_cast<double>(warmup + 1), rate, warmup), warmup}, {std::move(schedule), 0}});
  };
  if (settings.schedule == "cosine") return warmup_cosine(rate, last, warmup, steps);
  if (settings.schedule == "wsd") return warmup_stable_decay(rate, last, warmup, steps / 5, steps);
  if (settings.schedule == "linear") return after_warmup(linear(rate, last, left));
  if (settings.schedule == "restarts") return after_warmup(cosine_restarts(rate, last, (left + 6) / 7, 2));
  return after_warmup(constant(rate));
}

static std::unique_ptr<Optimizer> make_optimizer(const Settings& settings, LanguageModel& model) {
  if (settings.optimizer == "sgd")
    return std::make_unique<SGD>(learning_parameters(model), SGDSettings{settings.momentum, settings.decay});
  return std::make_unique<AdamW>(learning_parameters(model), AdamWSettings{settings.beta1, settings.beta2,
                                                                           settings.epsilon, settings.decay});
}

DType checked_precision(const Settings& settings, const Backend& backend) {
  const DType dtype = dtype_named(settings.precision);
  check(backend.trains_in(dtype),
        "precision {}: the backend '{}' cannot train in it here; f32 works everywhere", settings.precision,
        backend.name());
  return dtype;
}

// Different streams of random numbers from one seed, so that one more draw here moves nothing there.
static constexpr uint64_t dropout_stream = 0x64726f70;

Trainer::Trainer(const Settings& settings, LanguageModel& model, std::span<const uint16_t> tokens,
                 const std::vector<bool>* counted)
    : settings_(with_fault(settings)),
      model_(model),
      data_(tokens),
      counted_(counted),
      precision_(checked_precision(settings, model.backend())),
      schedule_(make_schedule(settings_)),
      optimizer_(make_optimizer(settings, model)),
      loader_(tokens, settings.batch, settings.context, {.seed = static_cast<uint64_t>(settings.seed)},
              LoaderOrder::epochs, counted),
      dropout_random_{static_cast<uint64_t>(settings.seed) ^ dropout_stream},
      next_inputs_(settings.batch * settings.context),
      next_targets_(settings.batch * settings.context),
      inputs_(Tensor::empty({settings.batch, settings.context}, DType::i32, model.backend())),
      targets_(Tensor::like(inputs_)),
      dloss_(Tensor::full({}, 1, DType::f32, model.backend())),
      pass_(model.backend(), optimizer_->parameters(), dropout_random_) {
  model_.compute_in(precision_);
}

// Always the same kernels on the same memory: all that comes from the host are the tokens and f16's loss
// scale.
Tensor Trainer::forward_and_backward() {
  current_phase = Phase::forward;  // for whoever profiles
  inputs_.upload(next_inputs_.data());
  targets_.upload(next_targets_.data());
  dloss_.backend().fill(dloss_.view(), loss_scale());
  return settings_.graph ? pass_([this] { return compute(); }) : compute();
}

Tensor Trainer::compute() {
  const Variable loss = model_.loss(inputs_, targets_, settings_.label_smoothing);
  current_phase = Phase::backward;
  backward(loss, dloss_);
  return loss.value().to(DType::f64);
}

Trainer::Sums Trainer::accumulate() {
  model_.train_with(settings_.dropout > 0 ? &dropout_random_ : nullptr, settings_.recompute);
  Tensor loss;
  for (int64_t i = 0; i < settings_.accumulation; ++i) {
    loader_.next(next_inputs_, next_targets_);
    spoil_batch(settings_.fault, next_inputs_, next_targets_, model_.vocabulary());  // if it is to be broken
    const Tensor of_batch = forward_and_backward();
    loss = loss ? loss + of_batch : of_batch;
  }
  model_.train_with(nullptr);
  current_phase = Phase::optimizer;
  return {loss, gradient_norm(optimizer_->parameters()),
          1 / (static_cast<double>(settings_.accumulation) * loss_scale())};
}

// Batches whose gradient is far longer than usual are passed over, and a step is done with the next ones. The
// usual is a running mean of the norms of steps that were done. What does not end after ten times is no
// outlier.
Trainer::Sums Trainer::without_outliers(Sums sums, Step& step) {
  constexpr int64_t most = 10;
  constexpr double memory = 0.95;
  const auto norm = [&] { return sums.norm.item() * sums.share; };
  while (usual_norm_ > 0 && !(norm() <= settings_.skip_above * usual_norm_) && step.skipped < most) {
    step.outlier = std::isfinite(norm()) ? std::max(step.outlier, norm()) : norm();
    ++step.skipped;
    optimizer_->clear_gradients();
    sums = accumulate();
  }
  usual_norm_ = usual_norm_ > 0 ? memory * usual_norm_ + (1 - memory) * norm() : norm();
  return sums;
}

Trainer::Step Trainer::step(const Look& look) {
  const LoaderState batches_before = loader_.state();
  const uint64_t draws_before = dropout_random_.counter;
  const LossScaler scaler_before = scaler_;
  const double usual_before = usual_norm_;
  Step result{0, schedule_(steps()), 0};
  Sums sums = accumulate();
  if (precision_ == DType::f16) {  // here the host waits for the norm: the next scale depends on it
    while (true) {
      const bool finite = std::isfinite(sums.norm.item());
      scaler_.update(finite);
      if (finite || !std::isfinite(sums.loss.item()) || scaler_.scale < 1) break;
      optimizer_->clear_gradients();
      sums = accumulate();
    }
  }
  if (settings_.skip_above > 0) sums = without_outliers(std::move(sums), result);
  if (look) look(optimizer_->parameters(), sums.share);
  // The mean of the gradients is taken where they are used. The scale is not finite where the loss or the
  // norm is not: the step then changes nothing.
  optimizer_->step(result.rate, clip_scale(sums.norm, settings_.clip, sums.share) + sums.loss * 0);
  optimizer_->clear_gradients();
  // Only now does the host wait for the device.
  result.loss = sums.loss.item() / static_cast<double>(settings_.accumulation);
  result.gradient_norm = sums.norm.item() * sums.share;
  if (std::isfinite(result.loss) && std::isfinite(result.gradient_norm)) return result;
  const int64_t step = steps();
  optimizer_->take_back_step();
  loader_ = Loader(data_, settings_.batch, settings_.context, batches_before, LoaderOrder::epochs, counted_);
  dropout_random_.counter = draws_before;
  scaler_ = scaler_before;
  usual_norm_ = usual_before;
  throw NotFinite(fmt::format(
      "step {}: the loss is {} and the gradient's norm {}; training cannot go on from here. A lower rate "
      "or clip may help",
      step, result.loss, result.gradient_norm));
}

nlohmann::ordered_json Trainer::state() const {
  const LoaderState& loader = loader_.state();
  nlohmann::ordered_json state = {
      {"step", steps()},
      {"loader", {{"seed", loader.seed}, {"epoch", loader.epoch}, {"position", loader.position}}},
      {"dropout_counter", dropout_random_.counter}};
  if (precision_ == DType::f16)
    state["loss_scaler"] = {{"scale", scaler_.scale}, {"good_steps", scaler_.good_steps}};
  if (settings_.skip_above > 0) state["usual_norm"] = usual_norm_;
  return state;
}

void Trainer::restore(const nlohmann::ordered_json& state, const NamedTensors& optimizer_state) {
  try {
    const int64_t step = state.at("step");
    check(step >= 0 && step <= settings_.steps, "the run to go on with is at step {} of {}", step,
          settings_.steps);
    optimizer_->load(optimizer_state, step);
    const auto& loader = state.at("loader");
    loader_ =
        Loader(data_, settings_.batch, settings_.context,
               {loader.at("seed"), loader.at("epoch"), loader.at("position")}, LoaderOrder::epochs, counted_);
    dropout_random_.counter = state.at("dropout_counter");
    if (precision_ == DType::f16) {
      const auto& scaler = state.at("loss_scaler");
      scaler_ = {scaler.at("scale"), scaler.at("good_steps")};
    }
    usual_norm_ = state.value("usual_norm", 0.0);
  } catch (const nlohmann::json::exception& error) {
    fail("the state to go on with is not what Chapbook writes: {}", error.what());
  }
}

}  // namespace chapbook
