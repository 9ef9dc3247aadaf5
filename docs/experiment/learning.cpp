// Chapter 13: optimizers side by side on a small GPT; every knob turned the wrong way; how large Adam's steps
// are; a run that goes on without its optimizer.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "docs/demo/story_bytes.h"
#include "docs/tool/results.h"
#include "nn/gpt.h"
#include "optim/clip.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

using namespace chapbook;

constexpr int64_t batch = 8, steps = 400, context = 32, width = 48;
constexpr int seed_count = 5;
static const GPTConfig config{.layers = 2, .heads = 2, .width = width, .context = context, .vocabulary = 256};

struct Knobs {
  bool adamw = true;
  double rate = 0.003, momentum = 0, clip = 1, last = 0.1;  // last: the last rate, as a share of the first
  int64_t warmup = 40;
  AdamWSettings adam = {};
  uint64_t seed = 1;
  enum { keep, fresh, count_only } at_half = keep;  // what is left of the optimizer when the run is resumed
};

// The root of the mean square of m / (sqrt(v) + epsilon), both corrected: Adam's step over the rate.
static double step_over_rate(const AdamW& optimizer, const AdamWSettings& settings) {
  const NamedTensors state = optimizer.state();
  const size_t half = state.size() / 2;
  const auto step = static_cast<double>(optimizer.steps());
  double squares = 0, count = 0;
  for (size_t i = 0; i < half; ++i) {
    const std::vector<float> m = state[i].second.to_vector<float>(),
                             v = state[half + i].second.to_vector<float>();
    for (size_t j = 0; j < m.size(); ++j) {
      const double mean = m[j] / (1 - std::pow(settings.beta1, step)),
                   square = v[j] / (1 - std::pow(settings.beta2, step));
      const double update = mean / (std::sqrt(square) + settings.epsilon);
      squares += update * update;
    }
    count += static_cast<double>(m.size());
  }
  return std::sqrt(squares / count);
}

struct Run {
  std::vector<double> losses;     // of each step
  std::vector<double> sizes;      // Adam's step over the rate, where asked for
  std::vector<double> gradients;  // the root of the mean of v, for each tensor
  double valid;                   // loss on stories not seen; NaN where the run broke off
};

static Run train(const Knobs& knobs, bool measure_sizes = false) {
  GPT model(config);
  Random random{knobs.seed};
  model.initialise(random);
  const auto make = [&]() -> std::unique_ptr<Optimizer> {
    if (knobs.adamw) return std::make_unique<AdamW>(parameters(model), knobs.adam);
    return std::make_unique<SGD>(parameters(model), SGDSettings{.momentum = knobs.momentum});
  };
  std::unique_ptr<Optimizer> optimizer = make();
  const Schedule schedule = warmup_cosine(knobs.rate, knobs.rate * knobs.last, knobs.warmup, steps);
  StoryBatches batches(batch, context, knobs.seed);
  Run run{{}, {}, {}, NAN};
  for (int64_t step = 0; step < steps; ++step) {
    if (step == steps / 2 && knobs.at_half != Knobs::keep) {
      optimizer = make();
      if (knobs.at_half == Knobs::count_only) optimizer->load(optimizer->state(), step);
    }
    batches.next();
    const Variable loss = model.loss(batches.inputs, batches.targets);
    run.losses.push_back(loss.value().item());
    if (!std::isfinite(run.losses.back())) return run;
    backward(loss);
    optimizer->step(schedule(step), clip_scale(gradient_norm(optimizer->parameters()), knobs.clip));
    optimizer->clear_gradients();
    if (measure_sizes) run.sizes.push_back(step_over_rate(static_cast<AdamW&>(*optimizer), knobs.adam));
  }
  for (const auto& [name, tensor] : optimizer->state())
    if (name.starts_with("v.")) run.gradients.push_back(std::sqrt(mean(tensor).item()));
  NoGrad no_grad;
  StoryBatches unseen(batch, context, 1000);  // stories of another seed
  run.valid = 0;
  for (int i = 0; i < 8; ++i) {
    unseen.next();
    run.valid += model.loss(unseen.inputs, unseen.targets).value().item() / 8;
  }
  return run;
}

// The mean of every ten steps.
static Line curve(const std::string& name, const Run& run) {
  Line line{name, {}, {}};
  for (size_t i = 10; i <= run.losses.size(); i += 10) {
    double sum = 0;
    for (size_t j = i - 10; j < i; ++j) sum += run.losses[j];
    line.x.push_back(static_cast<double>(i));
    line.y.push_back(sum / 10);
  }
  return line;
}

// The mean, lowest and highest loss on unseen stories of all seeds.
static Json seeds(const std::string& name, Knobs knobs) {
  double mean = 0, low = INFINITY, high = 0;
  for (int seed = 1; seed <= seed_count; ++seed) {
    knobs.seed = static_cast<uint64_t>(seed);
    const double valid = train(knobs).valid;
    mean += valid / seed_count, low = std::min(low, valid), high = std::max(high, valid);
  }
  fmt::print("{}: {:.3f}, {:.3f} to {:.3f}\n", name, mean, low, high);
  std::fflush(stdout);
  return {{"mean", mean}, {"low", low}, {"high", high}};
}

int main() {
  Results results("learning", {"optim/optimizer.cpp", "optim/schedule.cpp", "optim/clip.h", "nn/gpt.h",
                               "tensor/reference/adamw.cpp"});
  results.configuration = {{"layers", 2},
                           {"width", width},
                           {"heads", 2},
                           {"context", context},
                           {"batch", batch},
                           {"steps", steps},
                           {"warmup", 40},
                           {"clip", 1},
                           {"last rate", 0.1},
                           {"seeds", seed_count},
                           {"text", "built-in stories, bytes"}};

  Plot by_rate{
      "Loss on unseen stories after 400 steps", "learning rate", "loss (nats per byte)", true, false, {}};
  Plot curves{
      "The loss of each optimizer at its best rate", "step", "loss (nats per byte)", false, false, {}};
  AdamWSettings no_decay;
  no_decay.decay = 0;
  for (const auto& [name, key, base, rates] :
       {std::tuple{"gradient descent", "sgd", Knobs{.adamw = false}, std::vector{0.03, 0.1, 0.3, 1.0, 3.0}},
        {"momentum 0.9", "momentum", Knobs{.adamw = false, .momentum = 0.9}, {0.01, 0.03, 0.1, 0.3, 1.0}},
        {"Adam", "adam", Knobs{.adam = no_decay}, {1e-3, 3e-3, 0.01, 0.03}},
        {"AdamW", "adamw", Knobs{}, {1e-3, 3e-3, 0.01, 0.03}}}) {
    Line line{name, {}, {}};
    double best = INFINITY, best_rate = 0;
    Line best_curve;
    for (const double rate : rates) {
      Knobs knobs = base;
      knobs.rate = rate;
      const Run run = train(knobs);
      line.x.push_back(rate);
      line.y.push_back(run.valid);
      std::string name_of_rate = fmt::format("{:g}", rate);  // a path has no dots in its names
      std::replace(name_of_rate.begin(), name_of_rate.end(), '.', '_');
      results.values["by_rate"][key][name_of_rate] = run.valid;
      if (!(run.valid < best)) continue;
      best = run.valid;
      best_rate = rate;
      best_curve = curve(fmt::format("{}, rate {}", name, rate), run);
    }
    by_rate.lines.push_back(line);
    curves.lines.push_back(best_curve);
    Knobs knobs = base;
    knobs.rate = best_rate;
    results.values["best"][key] = seeds(name, knobs);
    results.values["best"][key]["rate"] = best_rate;
  }
  results.figure("learning-rates", by_rate);
  results.figure("learning-curves", curves);

  const auto turned = [&](const char* key, auto&& turn) {
    Knobs knobs;
    turn(knobs);
    results.values["turned"][key] = seeds(key, knobs);
  };
  const std::vector<double> gradients = train({}).gradients;
  results.values["gradients"] = {{"smallest", *std::min_element(gradients.begin(), gradients.end())},
                                 {"largest", *std::max_element(gradients.begin(), gradients.end())}};
  turned("base", [](Knobs&) {});
  turned("beta1_0", [](Knobs& k) { k.adam.beta1 = 0; });
  turned("beta1_99", [](Knobs& k) { k.adam.beta1 = 0.99; });
  turned("beta2_999", [](Knobs& k) { k.adam.beta2 = 0.999; });
  turned("epsilon", [](Knobs& k) { k.adam.epsilon = 0.1; });
  turned("decay_0", [](Knobs& k) { k.adam.decay = 0; });
  turned("decay_3", [](Knobs& k) { k.adam.decay = 3; });
  turned("no_clip", [](Knobs& k) { k.clip = 0; });
  turned("constant", [](Knobs& k) { k.last = 1; });
  turned("no_warmup", [](Knobs& k) { k.warmup = 0; });
  turned("high", [](Knobs& k) { k.rate = 0.02; });
  turned("high_no_warmup", [](Knobs& k) { k.rate = 0.02, k.warmup = 0; });
  turned("high_long_warmup", [](Knobs& k) { k.rate = 0.02, k.warmup = steps / 2; });

  Plot sizes{"The size of AdamW's step over the learning rate", "step", "root mean square", true, false, {}};
  for (const int64_t warmup : {0, 40}) {
    Knobs knobs;
    knobs.warmup = warmup;
    const Run run = train(knobs, true);
    Line line{warmup ? "40 steps of warm-up" : "no warm-up", {}, {}};
    for (size_t i = 0; i < run.sizes.size(); ++i) {
      line.x.push_back(static_cast<double>(i + 1));
      line.y.push_back(run.sizes[i]);
    }
    const std::string key = warmup ? "warmup" : "none";
    for (const size_t step : {1, 2, 10, 100, 400})
      results.values["size"][key][std::to_string(step)] = run.sizes[step - 1];
    sizes.lines.push_back(line);
  }
  results.figure("learning-sizes", sizes);

  Plot resumed{
      "A run resumed at step 200, mean of five seeds", "step", "loss (nats per byte)", false, false, {}};
  for (const auto& [name, key, what] :
       {std::tuple{"with its optimizer", "keep", Knobs::keep},
        {"with a fresh one", "fresh", Knobs::fresh},
        {"with a fresh one that counts from 200", "count", Knobs::count_only}}) {
    std::vector<double> losses(steps);
    double valid = 0;
    for (int seed = 1; seed <= seed_count; ++seed) {
      Knobs knobs;
      knobs.at_half = what;
      knobs.seed = static_cast<uint64_t>(seed);
      const Run run = train(knobs);
      for (size_t i = 0; i < losses.size(); ++i) losses[i] += run.losses[i] / seed_count;
      valid += run.valid / seed_count;
    }
    double before = 0, after = 0;
    for (size_t i = 190; i < 200; ++i) before += losses[i] / 10;
    for (size_t i = 201; i < 211; ++i) after += losses[i] / 10;
    results.values["resumed"][key] = {{"before", before}, {"after", after}, {"valid", valid}};
    Line line{name, {}, {}};
    for (size_t i = 170; i < 270; ++i) {
      line.x.push_back(static_cast<double>(i + 1));
      line.y.push_back(losses[i]);
    }
    resumed.lines.push_back(line);
    fmt::print("resumed {}: before {:.3f}, after {:.3f}, {:.3f}\n", key, before, after, valid);
  }
  results.figure("learning-resumed", resumed);
  results.write();
}
