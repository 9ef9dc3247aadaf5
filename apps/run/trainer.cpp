#include "apps/run/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "apps/run/faults.h"
#include "nn/adapt.h"
#include "optim/clip.h"
#include "tensor/json.h"
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

std::vector<uint16_t> random_tokens(const Settings& settings) {
  Random random{1};
  std::vector<uint16_t> tokens(static_cast<size_t>(settings.context * settings.batch * 8 + 1));
  for (uint16_t& token : tokens)
    token = static_cast<uint16_t>(random.below(static_cast<uint64_t>(settings.vocabulary)));
  return tokens;
}

static std::unique_ptr<Optimizer> make_optimizer(const Settings& settings, std::vector<Parameter> of) {
  if (settings.optimizer == "sgd")
    return std::make_unique<SGD>(std::move(of), SGDSettings{settings.momentum, settings.decay});
  return std::make_unique<AdamW>(
      std::move(of), AdamWSettings{settings.beta1, settings.beta2, settings.epsilon, settings.decay});
}

// What an optimizer's state has of each parameter, in the order of state().
static std::vector<std::string> kinds_of_state(const Settings& settings) {
  if (settings.optimizer == "sgd") return {"velocity"};
  return {"m", "v"};
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

Trainer::Trainer(const Settings& settings, LanguageModel& model, std::span<const uint16_t> tokens, Team& team,
                 const std::vector<bool>* counted)
    : settings_(with_fault(settings)),
      shard_(shards_of(settings)),
      model_(model),
      team_(team),
      data_(tokens),
      counted_(counted),
      precision_(checked_precision(settings, model.backend())),
      schedule_(make_schedule(settings_)),
      slices_(learning_parameters(model), settings.shards),
      parts_(parts_of(team.rank(), team.size(), static_cast<int>(settings.shards))),
      own_(slices_.pieces(parts_.first, parts_.last)),
      optimizer_(make_optimizer(settings, slices_.leaves(own_))),
      loader_(tokens, shard_.rows, settings.context, {.seed = static_cast<uint64_t>(settings.seed)}, counted),
      dropout_random_{static_cast<uint64_t>(settings.seed) ^ dropout_stream},
      next_inputs_(shard_.rows * settings.context),
      next_targets_(shard_.rows * settings.context),
      inputs_(Tensor::zeros({shard_.rows, settings.context}, DType::i32, model.backend())),
      targets_(Tensor::like(inputs_)),
      dloss_(Tensor::full({}, 1, DType::f32, model.backend())),
      pass_(model.backend(), slices_.parameters(), dropout_random_) {
  if (settings.shards > 1) sum_.emplace(slices_, team, settings.sum == "tree");
  check(team.size() == 1 || model.backend().in_host_memory(),
        "several workers: the backend '{}' does not hold numbers in the host's memory; cpu does",
        model.backend().name());
  model_.compute_in(precision_);
  model_.drop_out(settings_.dropout);
  draws_ = team.size() > 1 ? draws_of_batch() : 0;
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

void Trainer::read_from(const LoaderState& place) {
  loader_ = Loader(data_, shard_.rows, settings_.context, place, counted_);
}

void Trainer::repeat_data() {
  const LoaderState first{.seed = static_cast<uint64_t>(settings_.seed)};
  read_from(first);
  for (LoaderState place = first; counted_ && place.epoch == 0; place = loader_.state()) {
    loader_.next(next_inputs_, next_targets_);
    const auto counts = [](int32_t target) { return target != ignored_target; };
    if (std::ranges::any_of(next_targets_, counts)) return read_from(place);
  }
  read_from(first);
}

// Of those that other workers compute.
void Trainer::pass_over(int64_t batches) {
  loader_.skip(batches);
  dropout_random_.counter += static_cast<uint64_t>(batches) * draws_;
}

// How far a batch moves dropout's random numbers: found by computing one.
uint64_t Trainer::draws_of_batch() const {
  if (settings_.dropout == 0) return 0;
  const NoGrad no_grad;
  Random random;
  model_.train_with(&random);
  model_.loss(inputs_, inputs_);
  model_.train_with(nullptr);
  return random.counter;
}

Trainer::Sums Trainer::accumulate() {
  const bool shared = settings_.shards > 1, tree = shared && settings_.sum == "tree";
  const int64_t own = settings_.shards / team_.size(), first = own * team_.rank();  // shards
  model_.train_with(settings_.dropout > 0 ? &dropout_random_ : nullptr, settings_.recompute);
  pass_over(first * shard_.batches);
  Tensor loss;
  for (int64_t shard = 0; shard < own; ++shard) {
    for (int64_t i = 0; i < shard_.batches; ++i) {
      loader_.next(next_inputs_, next_targets_);
      spoil_batch(settings_.fault, next_inputs_, next_targets_,
                  model_.vocabulary());  // if it is to be broken
      const bool last = shared && shard + 1 == own && i + 1 == shard_.batches;
      const Tensor of_batch =
          last ? sum_->last_batch([this] { return forward_and_backward(); }) : forward_and_backward();
      loss = loss ? loss + of_batch : of_batch;
    }
    if (tree && shard + 1 < own) sum_->add_shard(std::exchange(loss, {}));
  }
  pass_over((settings_.shards - first - own) * shard_.batches);
  model_.train_with(nullptr);
  const double share = 1 / (static_cast<double>(batches()) * loss_scale());
  Sums sums =
      shared ? sum_of_all(sum_->finish(std::move(loss))) : Sums{loss, gradient_norm(slices_.parameters()), 0};
  current_phase = Phase::optimizer;
  sums.share = share;
  return sums;
}

// ---- Several shards, several workers

static std::span<float> place_of(const Tensor& numbers) {
  return {numbers.view().as<float>(), static_cast<size_t>(numbers.count())};
}

PlacesOf Trainer::weights() const {
  return [this](int first, int last) {
    Places places;
    for (const Slices::Piece& piece : slices_.pieces(first, last))
      places.push_back(place_of(Slices::of(slices_.parameters()[piece.parameter].variable.value(), piece)));
    return places;
  };
}

// Loss and norm of the whole step, where `loss` is of this worker's subtree and the gradients of its own
// parts are the step's. The squares are summed part by part, and the parts in order, so that the norm has one
// order too.
Trainer::Sums Trainer::sum_of_all(const Tensor& loss) {
  std::vector<double> own(1 + parts_.last - parts_.first);  // the loss, and the squares of each part
  own[0] = loss.item();
  for (int part = parts_.first; part < parts_.last; ++part) {
    RecycledVector<In> pieces;
    for (const Slices::Piece& piece : slices_.pieces(part, part + 1))
      pieces.push_back(Slices::of(slices_.parameters()[piece.parameter].variable.gradient(), piece).view());
    const Tensor squares = Tensor::zeros({}, DType::f64, loss.backend());
    if (!pieces.empty()) loss.backend().square_sum(pieces, squares.view());
    own[1 + part - parts_.first] = squares.item();
  }
  std::vector<double> all(own.size() * team_.size());
  timed([&] { team_.gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all))); });

  std::vector<double> losses, squares(settings_.shards);
  for (int rank = 0; rank < team_.size(); ++rank) {
    const double* of_rank = all.data() + rank * own.size();
    losses.push_back(of_rank[0]);
    std::copy_n(of_rank + 1, own.size() - 1,
                squares.begin() + parts_of(rank, team_.size(), static_cast<int>(slices_.parts())).first);
  }
  for (size_t distance = 1; distance < losses.size(); distance *= 2)  // the tree's upper levels
    for (size_t i = 0; i < losses.size(); i += 2 * distance) losses[i] += losses[i + distance];
  double sum = 0;
  for (const double square : squares) sum += square;
  const auto number = [&](double x) { return Tensor::full({}, x, DType::f64, loss.backend()); };
  for (size_t i = 0; i < own_.size(); ++i)  // what moves the weights sees its pieces only
    optimizer_->parameters()[i].variable.set_gradient(
        Slices::of(slices_.parameters()[own_[i].parameter].variable.gradient(), own_[i]));
  return {number(losses[0]), number(std::sqrt(sum)), 0};
}

// ---- A step

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
    clear_gradients();
    sums = accumulate();
  }
  usual_norm_ = usual_norm_ > 0 ? memory * usual_norm_ + (1 - memory) * norm() : norm();
  return sums;
}

// Waiting for others, in this thread.
template <class Exchange>
void Trainer::timed(Exchange exchange) {
  const auto start = std::chrono::steady_clock::now();
  exchange();
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Communication Trainer::communication() const {
  return {team_.bytes_sent(), team_.seconds(), waited_ + (sum_ ? sum_->waited() : 0)};
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
      clear_gradients();
      sums = accumulate();
    }
  }
  if (settings_.skip_above > 0) sums = without_outliers(std::move(sums), result);
  if (look) look(slices_.parameters(), sums.share);
  // The mean of the gradients is taken where they are used. The scale is not finite where the loss or the
  // norm is not: the step then changes nothing.
  optimizer_->step(result.rate, clip_scale(sums.norm, settings_.clip, sums.share) + sums.loss * 0);
  clear_gradients();
  if (team_.size() > 1) timed([&] { all_gather(team_, static_cast<int>(slices_.parts()), weights()); });
  // Only now does the host wait for the device.
  result.loss = sums.loss.item() / static_cast<double>(batches());
  result.gradient_norm = sums.norm.item() * sums.share;
  if (std::isfinite(result.loss) && std::isfinite(result.gradient_norm)) return result;
  const int64_t step = steps();
  optimizer_->take_back_step();
  read_from(batches_before);
  dropout_random_.counter = draws_before;
  scaler_ = scaler_before;
  usual_norm_ = usual_before;
  throw NotFinite(fmt::format(
      "step {}: the loss is {} and the gradient's norm {}; training cannot go on from here. A lower rate "
      "or clip may help",
      step, result.loss, result.gradient_norm));
}

void Trainer::clear_gradients() {
  optimizer_->clear_gradients();  // its pieces
  for (const Parameter& parameter : slices_.parameters()) parameter.variable.clear_gradient();
}

Json Trainer::state() const {
  const LoaderState& loader = loader_.state();
  Json state = {{"step", steps()},
                {"loader", {{"seed", loader.seed}, {"epoch", loader.epoch}, {"position", loader.position}}},
                {"dropout_counter", dropout_random_.counter}};
  if (precision_ == DType::f16)
    state["loss_scaler"] = {{"scale", scaler_.scale}, {"good_steps", scaler_.good_steps}};
  if (settings_.skip_above > 0) state["usual_norm"] = usual_norm_;
  return state;
}

// Tensor after tensor, so that the others never hold more than one whole.
NamedTensors Trainer::optimizer_state() const {
  const NamedTensors own = optimizer_->state();
  if (team_.size() == 1) return own;
  NamedTensors all;
  const auto of_kind = [&](const std::string& kind, const Parameter& parameter, size_t index) {
    const Tensor whole = Tensor::like(parameter.variable.value());
    const auto name = kind + "." + parameter.name;
    const auto piece = std::ranges::find(own_, index, &Slices::Piece::parameter);
    if (piece != own_.end()) {
      const auto found = std::ranges::find(own, name, &NamedTensors::value_type::first);
      whole.backend().copy(found->second.view(), Slices::of(whole, *piece).view());
    }
    all_gather(team_, static_cast<int>(slices_.parts()), [&](int first, int last) {
      Places places;
      for (const Slices::Piece& each : slices_.pieces(first, last))
        if (each.parameter == index) places.push_back(place_of(Slices::of(whole, each)));
      return places;
    });
    if (team_.rank() == 0) all.emplace_back(name, whole);
  };
  for (const std::string& kind : kinds_of_state(settings_))
    for (size_t i = 0; i < slices_.parameters().size(); ++i) of_kind(kind, slices_.parameters()[i], i);
  return all;
}

void Trainer::load_optimizer(const NamedTensors& state, int64_t step) {
  if (team_.size() == 1) return optimizer_->load(state, step);
  NamedTensors own;
  for (const auto& [name, whole] : state)
    for (const Slices::Piece& piece : own_) {
      const Parameter& parameter = slices_.parameters()[piece.parameter];
      if (name.substr(name.find('.') + 1) != parameter.name) continue;
      check(whole.shape() == parameter.variable.shape(), "optimizer: '{}' is saved as {}, the model has {}",
            name, whole.shape(), parameter.variable.shape());
      own.emplace_back(name, Slices::of(whole, piece));
    }
  optimizer_->load(own, step);
}

void Trainer::restore(const Json& state, const NamedTensors& optimizer_state) {
  try {
    const int64_t step = state.at("step");
    check(step >= 0 && step <= settings_.steps, "the run to go on with is at step {} of {}", step,
          settings_.steps);
    load_optimizer(optimizer_state, step);
    const auto& loader = state.at("loader");
    read_from({loader.at("seed"), loader.at("epoch"), loader.at("position")});
    dropout_random_.counter = state.at("dropout_counter");
    if (precision_ == DType::f16) {
      const auto& scaler = state.at("loss_scaler");
      scaler_ = {scaler.at("scale"), scaler.at("good_steps")};
    }
    usual_norm_ = state.value("usual_norm", 0.0);
  } catch (const Json::exception& error) {
    fail("the state to go on with is not what Chapbook writes: {}", error.what());
  }
}

}  // namespace chapbook
