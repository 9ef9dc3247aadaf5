#include "apps/run/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/report/progress.h"
#include "apps/run/family.h"
#include "apps/run/faults.h"
#include "apps/run/run_parts.h"
#include "optim/clip.h"
#include "tensor/files.h"
#include "tensor/os/system.h"

namespace chapbook {
namespace {

Settings for_data(Settings settings, const TrainingData& data) {
  settings.vocabulary = data.train.info().vocabulary_size;
  return settings;
}

std::unique_ptr<LanguageModel> new_model(const Settings& settings) {
  auto model = make_model(settings, with_fault(default_backend(), settings.fault));
  Random random{static_cast<uint64_t>(settings.seed)};
  model->initialise(random);
  return model;
}

// A new model in training, as a run begins.
struct Trial {
  Settings settings;
  std::vector<bool> answers;
  std::unique_ptr<LanguageModel> model;
  Trainer trainer;

  Trial(const Settings& given, const TrainingData& data)
      : settings(for_data(given, data)),
        answers(answers_in(data.train, settings, data.tokenizer)),
        model(new_model(settings)),
        trainer(settings, *model, data.train.tokens(), alone(), if_any(answers)) {}
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
std::string bad_gradients(const std::vector<Parameter>& parameters) {
  std::string bad;
  for (const Parameter& parameter : parameters) {
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

// The lowest loss that targets allow: their entropy, which is 0 unless they are smoothed.
double lowest_loss(double smoothing, int64_t vocabulary) {
  const double other = smoothing / static_cast<double>(vocabulary), target = 1 - smoothing + other;
  return smoothing == 0
             ? 0
             : -target * std::log(target) - other * static_cast<double>(vocabulary - 1) * std::log(other);
}

}  // namespace

TrainingData data_to_look_at(RunOptions options) {
  options.directory = fmt::format("runs/trial-{}", os::process_id());
  const NewDirectory taken_away(options.directory);
  return open_training_data(std::filesystem::path(options.directory) / data_directory(options));
}

int check_training(const Settings& asked, const TrainingData& data, const Run::Say& say) {
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

  Settings settings = asked;
  settings.accumulation = settings.shards = 1;
  settings.schedule = "constant", settings.warmup = 9;  // after ten steps the rate is whole
  Trial trial(settings, data);
  const int64_t vocabulary = trial.settings.vocabulary;
  const double expected = std::log(static_cast<double>(vocabulary)),
               lowest = lowest_loss(settings.label_smoothing, vocabulary);
  // Of a step on the one batch, before it; NaN where that or a gradient is not finite.
  const auto loss = [&](const Trainer::Look& look = {}) {
    trial.trainer.repeat_data();
    try {
      return trial.trainer.step(look).loss;
    } catch (const NotFinite&) {
      return static_cast<double>(NAN);
    }
  };
  std::string bad;
  size_t parameters = 0;
  const double first = loss(
      [&](const std::vector<Parameter>& all, double) { bad = bad_gradients(all), parameters = all.size(); });
  report(std::abs(first - expected) < 0.05 * expected + 0.3, "birth",
         fmt::format("the first loss is {:.3f}; ln {} is {:.3f}", first, vocabulary, expected));
  report(bad.empty(), "gradients",
         bad.empty() ? fmt::format("all {} parameters have one, finite and not 0", parameters) : bad);

  constexpr int64_t steps = 60;
  Progress progress("one batch", steps);
  double last = first;
  for (int64_t step = 1; step < steps && std::isfinite(last); ++step) {
    last = loss();
    progress.update(static_cast<double>(step + 1));
  }
  progress.clear();
  const bool learned = last - lowest < (first - lowest) / 2;
  report(learned, "one batch",
         fmt::format("trained on one batch, {} times at the rate {}: its loss goes from {:.3f} to {:.3f}{}{}",
                     steps, with_fault(settings).rate, first, last,
                     lowest > 0 ? fmt::format(", of which {:.3f} are of smoothed labels", lowest) : "",
                     learned ? "" : "; it should halve: try --find-rate"));
  return wrong;
}

RateCurve find_rate(const Settings& settings, const TrainingData& data, int64_t steps) {
  constexpr double lowest = 1e-6, highest = 1, memory = 0.9;
  Trial trial(settings, data);
  trial.trainer.follow([steps](int64_t step) {
    return lowest * std::pow(highest / lowest, static_cast<double>(step) / static_cast<double>(steps - 1));
  });
  RateCurve curve;
  Progress progress("rates", static_cast<double>(steps));
  double sum = 0, weight = 0;
  size_t best = 0;
  try {
    while (trial.trainer.steps() < steps) {
      const Trainer::Step step = trial.trainer.step();
      if (step.loss == 0) continue;  // no answer among its targets: nothing was learned
      sum = memory * sum + (1 - memory) * step.loss;
      weight = memory * weight + (1 - memory);
      curve.rates.push_back(step.rate);
      curve.losses.push_back(step.loss);
      curve.smoothed.push_back(sum / weight);
      if (curve.smoothed.back() < curve.smoothed[best]) best = curve.smoothed.size() - 1;
      if (curve.smoothed.back() > 1.5 * curve.smoothed[best]) break;  // it has exploded
      progress.update(static_cast<double>(trial.trainer.steps()));
    }
  } catch (const NotFinite&) {  // it has exploded in one step
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
