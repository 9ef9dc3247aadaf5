#include "apps/run/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report/progress.h"
#include "apps/run/family.h"
#include "apps/run/faults.h"
#include "data/loader.h"
#include "optim/clip.h"
#include "optim/optimizer.h"

namespace chapbook {
namespace {

// A fresh model with its optimizer, and one batch.
class Trial {
 public:
  Trial(const Settings& settings, const TrainingData& data)
      : settings_(settings),
        model_(make_model(settings, with_fault(default_backend(), settings.fault))),
        loader_(data.train.tokens(), settings.batch, settings.context,
                {.seed = static_cast<uint64_t>(settings.seed), .epoch = 0, .position = 0}),
        inputs_(Tensor::empty({settings.batch, settings.context}, DType::i32, model_->backend())),
        targets_(Tensor::like(inputs_)) {
    Random random{static_cast<uint64_t>(settings.seed)};
    model_->initialise(random);
    optimizer_ = std::make_unique<AdamW>(
        parameters(*model_), AdamWSettings{settings.beta1, settings.beta2, settings.epsilon, settings.decay});
    next_batch();
  }

  void next_batch() {
    std::vector<int32_t> inputs(static_cast<size_t>(settings_.batch * settings_.context)),
        targets(inputs.size());
    loader_.next(inputs, targets);
    spoil_batch(settings_.fault, inputs, targets, settings_.vocabulary);
    inputs_.upload(inputs.data());
    targets_.upload(targets.data());
  }

  double forward_and_backward() {
    optimizer_->clear_gradients();
    const Variable loss = model_->loss(inputs_, targets_);
    backward(loss);
    return loss.value().item();
  }

  // The loss is that before the update.
  double step(double rate) {
    const double loss = forward_and_backward();
    optimizer_->step(rate, clip_scale(gradient_norm(optimizer_->parameters()), settings_.clip));
    return loss;
  }

  const std::vector<Parameter>& weights() const { return optimizer_->parameters(); }

 private:
  const Settings& settings_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<Optimizer> optimizer_;
  Loader loader_;
  Tensor inputs_, targets_;
};

// The share of the most frequent token, and of the tokens made by merges that occur at all.
std::pair<double, double> shares(const TokenFile& file, const Tokenizer& tokenizer) {
  std::vector<int64_t> counts(static_cast<size_t>(tokenizer.vocabulary_size()));
  for (const uint16_t id : file.tokens()) ++counts[id];
  int64_t merged = 0, used = 0;
  for (int32_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    if (tokenizer.token_bytes(id).size() < 2) continue;
    ++merged;
    used += counts[static_cast<size_t>(id)] > 0;
  }
  return {
      static_cast<double>(*std::max_element(counts.begin(), counts.end())) / static_cast<double>(file.size()),
      merged > 0 ? static_cast<double>(used) / static_cast<double>(merged) : 1};
}

// Whether most of validation's first thousand tokens stand in the text to train on as they are.
bool contains_validation(const TrainingData& data) {
  const auto train = data.train.tokens(), valid = data.valid.tokens();
  const auto part = valid.first(std::min<size_t>(valid.size(), 1000));
  return part.size() >= 100 &&
         std::search(train.begin(), train.end(), part.begin(), part.end()) != train.end();
}

// The names of parameters whose gradient is missing, not finite or all 0; "" where there are none.
std::string bad_gradients(const Trial& trial) {
  std::string bad;
  for (const Parameter& parameter : trial.weights()) {
    const Tensor& gradient = parameter.variable.gradient();
    const double norm = gradient ? global_norm(std::span(&gradient, 1)).item() : 0;
    if (gradient && std::isfinite(norm) && norm > 0) continue;
    bad += fmt::format("{}{} {}", bad.empty() ? "" : ", ", parameter.name,
                       !gradient   ? "has none"
                       : norm == 0 ? "is all 0"
                                   : "is not finite");
  }
  return bad;
}

}  // namespace

int check_training(const Settings& asked, const TrainingData& data, const Run::Say& say) {
  const Settings settings = with_fault(asked);
  int wrong = 0;
  const auto report = [&](bool good, std::string_view what, const std::string& finding) {
    say(fmt::format("{}  {:<10} {}", good ? "ok    " : "WRONG ", what, finding));
    wrong += !good;
  };
  const auto [most, used] = shares(data.train, data.tokenizer);
  const bool leaks = contains_validation(data);
  report(most < 0.5 && !leaks, "data",
         leaks ? "the validation text is part of the text to train on"
               : fmt::format("{} tokens, the most frequent is {:.1f}% of them",
                             short_count(static_cast<double>(data.train.size())), 100 * most));
  const auto& info = data.train.info();
  const double bytes = static_cast<double>(info.text_bytes) / static_cast<double>(info.tokens);
  report(used > 0.2 && (info.text_bytes == 0 || bytes >= 1.5), "tokenizer",
         fmt::format("{:.2f} bytes a token; {:.0f}% of those of several bytes occur", bytes, 100 * used));

  Trial trial(settings, data);
  const double first = trial.forward_and_backward(),
               expected = std::log(static_cast<double>(settings.vocabulary));
  report(std::abs(first - expected) < 0.05 * expected + 0.3, "birth",
         fmt::format("the first loss is {:.3f}; ln {} is {:.3f}", first, settings.vocabulary, expected));
  const std::string bad = bad_gradients(trial);
  report(bad.empty(), "gradients",
         bad.empty() ? fmt::format("all {} parameters have one, finite and not 0", trial.weights().size())
                     : bad);

  constexpr int64_t steps = 60;
  Progress progress("one batch", steps);
  double last = first;
  for (int64_t step = 0; step < steps && std::isfinite(last); ++step) {
    const double warmed_up = std::min(1.0, static_cast<double>(step + 1) / 10);
    last = trial.step(settings.rate * warmed_up);
    progress.update(static_cast<double>(step + 1));
  }
  progress.clear();
  report(last < first / 2, "one batch",
         fmt::format("trained on one batch, {} times at the rate {}: its loss goes from {:.3f} to {:.3f}{}",
                     steps, settings.rate, first, last,
                     last < first / 2 ? "" : "; it should halve: try --find-rate"));
  return wrong;
}

RateCurve find_rate(const Settings& settings, const TrainingData& data, int64_t steps) {
  constexpr double lowest = 1e-6, highest = 1, memory = 0.9;
  Trial trial(settings, data);
  RateCurve curve;
  Progress progress("rates", static_cast<double>(steps));
  double sum = 0, weight = 0;
  size_t best = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const double rate =
        lowest * std::pow(highest / lowest, static_cast<double>(step) / static_cast<double>(steps - 1));
    const double loss = trial.step(rate);
    if (!std::isfinite(loss)) break;
    sum = memory * sum + (1 - memory) * loss;
    weight = memory * weight + (1 - memory);
    curve.rates.push_back(rate);
    curve.losses.push_back(loss);
    curve.smoothed.push_back(sum / weight);
    if (curve.smoothed.back() < curve.smoothed[best]) best = curve.smoothed.size() - 1;
    if (curve.smoothed.back() > 1.5 * curve.smoothed[best]) break;  // it has exploded
    trial.next_batch();
    progress.update(static_cast<double>(step + 1));
  }
  check(best > 0, "no rate from {} to {} lowered the loss; `--check` looks for the reason", lowest, highest);
  curve.suggestion = curve.rates[best] / 10;
  return curve;
}

Plot plot_of(const RateCurve& curve) {
  return {.title = fmt::format("A rate to try: {:.1e}", curve.suggestion),
          .x_label = "learning rate",
          .y_label = "loss (nats per token)",
          .log_x = true,
          .lines = {{"batch", curve.rates, curve.losses, true}, {"smoothed", curve.rates, curve.smoothed}}};
}

}  // namespace chapbook
