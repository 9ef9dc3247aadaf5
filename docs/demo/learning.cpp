// What chapter 13 prints. One part for each word: problem, rates, walkers, path, beginner, scales, decay,
// noise, clip.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "docs/demo/story_bytes.h"
#include "nn/gpt.h"
#include "optim/clip.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

using namespace chapbook;

// ---- problem: a small model and w = w - rate * gradient

// The loss of the last ten of 200 steps.
static double learn(Optimizer& optimizer, const GPT& model, double rate) {
  StoryBatches batches(8, 32, 1);
  double sum = 0;
  for (int step = 0; step < 200; ++step) {
    batches.next();
    const Variable loss = model.loss(batches.inputs, batches.targets);
    backward(loss);
    optimizer.step(rate);
    optimizer.clear_gradients();
    if (step >= 190) sum += loss.value().item() / 10;
  }
  return sum;
}

static void problem() {
  fmt::print("rate                  0.001   0.01    0.1      1     10\n");
  for (const bool adamw : {false, true}) {
    fmt::print("{:<20}", adamw ? "AdamW" : "gradient descent");
    for (const double rate : {0.001, 0.01, 0.1, 1.0, 10.0}) {
      GPT model({.layers = 2, .heads = 2, .width = 32, .context = 32, .vocabulary = 256});
      Random random{1};
      model.initialise(random);
      std::unique_ptr<Optimizer> optimizer;
      if (adamw)
        optimizer = std::make_unique<AdamW>(parameters(model));
      else
        optimizer = std::make_unique<SGD>(parameters(model), SGDSettings{.momentum = 0});
      const double loss = learn(*optimizer, model, rate);
      fmt::print(" {:>6}", loss < std::log(256) ? fmt::format("{:.1f}", loss) : "lost");
    }
    fmt::print("\n");
  }
}

// ---- rates, walkers: a valley that is 25 times as steep across as along

using Row = std::vector<double>;
static const Row curvature = {1, 25}, start = {10, 2};

static double height(const Row& w) { return (curvature[0] * w[0] * w[0] + curvature[1] * w[1] * w[1]) / 2; }
static Row slope(const Row& w) { return {curvature[0] * w[0], curvature[1] * w[1]}; }

// The places that an optimizer of ours visits in the valley.
template <class Rule, class Settings>
static std::vector<Row> walk(Settings settings, double rate, int steps) {
  const Variable w = Variable::parameter(Tensor::from(start, {2}, backend("reference")));
  Rule optimizer({{"w", w}}, settings);
  const Variable curves = Tensor::from(curvature, {2}, backend("reference"));
  std::vector<Row> places = {start};
  for (int step = 0; step < steps; ++step) {
    backward(sum(w * w * curves) * 0.5);
    optimizer.step(rate);
    optimizer.clear_gradients();
    places.push_back(w.value().to_vector<double>());
  }
  return places;
}

static double shown(double x) { return std::abs(x) < 0.005 ? 0 : x; }  // no -0.00

// The number of steps after which the height stays below 0.01.
static std::string arrival(const std::vector<Row>& places) {
  size_t first = places.size();
  while (first > 0 && height(places[first - 1]) < 0.01) --first;
  return first == places.size() ? "never" : std::to_string(first);
}

static void rates() {
  fmt::print("rate    along: x 1 - rate   across: x 1 - 25 rate   steps to a height below 0.01\n");
  for (const double rate : {0.01, 0.04, 0.076, 0.08, 0.084}) {
    const auto places = walk<SGD>(SGDSettings{.momentum = 0}, rate, 2000);
    fmt::print("{:<8}{:>17.3f}{:>24.3f}{:>31}\n", rate, 1 - rate, shown(1 - 25 * rate), arrival(places));
  }
}

static void walkers() {
  const auto plain = walk<SGD>(SGDSettings{.momentum = 0}, 0.076, 2000),
             momentum = walk<SGD>(SGDSettings{.momentum = 0.5}, 0.1, 2000),
             adam = walk<AdamW>(AdamWSettings{}, 0.5, 2000);
  fmt::print("step   gradient descent      with momentum               Adam\n");
  for (const size_t step : {0, 1, 2, 3, 10, 20, 30, 60}) {
    fmt::print("{:>4}", step);
    for (const auto* places : {&plain, &momentum, &adam})
      fmt::print("   ({:>6.2f}, {:>6.2f})", shown((*places)[step][0]), shown((*places)[step][1]));
    fmt::print("\n");
  }
  fmt::print("there{:>18}{:>19}{:>19}\n", arrival(plain), arrival(momentum), arrival(adam));
}

static void path() {
  for (const auto& places :
       {walk<SGD>(SGDSettings{.momentum = 0}, 0.076, 60), walk<SGD>(SGDSettings{.momentum = 0.5}, 0.1, 60),
        walk<AdamW>(AdamWSettings{}, 0.5, 60)}) {
    for (const Row& place : places) fmt::print("{:.3f},{:.3f} ", place[0], place[1]);
    fmt::print("\n");
  }
}

// ---- beginner: Adam in ten lines

// region: adam
struct Memory {
  Row m, v;
  int steps = 0;
};

void adam(Row& w, const Row& g, Memory& memory, double rate) {
  ++memory.steps;
  for (size_t i = 0; i < w.size(); ++i) {
    double &m = memory.m[i], &v = memory.v[i];
    m = 0.9 * m + 0.1 * g[i];
    v = 0.95 * v + 0.05 * g[i] * g[i];
    const double mean = m / (1 - std::pow(0.9, memory.steps)),
                 square = v / (1 - std::pow(0.95, memory.steps));
    w[i] -= rate * mean / (std::sqrt(square) + 1e-8);
  }
}
// endregion

static void beginner() {
  const auto ours = walk<AdamW>(AdamWSettings{}, 0.5, 100);
  Row w = start;
  Memory memory{{0, 0}, {0, 0}};
  double apart = 0;
  for (size_t step = 0; step <= 100; ++step) {
    for (size_t i = 0; i < 2; ++i) apart = std::max(apart, std::abs(w[i] - ours[step][i]));
    if (step <= 2 || step == 100) fmt::print("step {:>3}   ({:.4f}, {:.4f})\n", step, w[0], w[1]);
    adam(w, slope(w), memory, 0.5);
  }
  fmt::print("never further from ours than 1e-12: {}\n", apart <= 1e-12 ? "true" : "false");
}

// ---- scales: the loss times a thousand

static void scales() {
  fmt::print("the gradient times     SGD's first step        AdamW's first step\n");
  for (const double by : {1e-3, 1.0, 1e3}) {
    fmt::print("{:<15g}", by);
    for (const bool adamw : {false, true}) {
      const Variable w = Variable::parameter(Tensor::zeros({2}, DType::f64, backend("reference")));
      std::unique_ptr<Optimizer> optimizer;
      if (adamw)
        optimizer = std::make_unique<AdamW>(std::vector<Parameter>{{"w", w}});
      else
        optimizer = std::make_unique<SGD>(std::vector<Parameter>{{"w", w}});
      backward(w * by, Tensor::from(Row{-3, 0.02}, {2}, backend("reference")));
      optimizer->step(0.01);
      const Row moved = w.value().to_vector<double>();
      fmt::print("   ({:>9.3g}, {:>9.3g})", moved[0], moved[1]);
    }
    fmt::print("\n");
  }
}

// ---- decay: through the gradient, and beside it

enum class Decay { none, in_gradient, beside };

// What is left of a weight of 1 after 200 steps whose gradients are +g, -g, +g, ...
static double left_of(double g, Decay decay) {
  const Variable w = Variable::parameter(Tensor::full({1, 1}, 1, DType::f64, backend("reference")));
  AdamW optimizer({{"w", w}}, {.decay = decay == Decay::beside ? 0.1 : 0});
  for (int step = 0; step < 200; ++step) {
    const double gradient = (step % 2 ? -g : g) + (decay == Decay::in_gradient ? 0.1 * w.value().item() : 0);
    backward(w * 1.0, Tensor::full({1, 1}, gradient, DType::f64, backend("reference")));
    optimizer.step(0.001);
    optimizer.clear_gradients();
  }
  return w.value().item();
}

static void decay() {
  fmt::print("gradients of     no decay     decay in the gradient     decay beside the step\n");
  for (const double g : {10.0, 1.0, 0.1, 0.01})
    fmt::print("{:<17g}{:>8.4f}{:>26.4f}{:>26.4f}\n", g, left_of(g, Decay::none),
               left_of(g, Decay::in_gradient), left_of(g, Decay::beside));
}

// ---- noise: the rate decides how near one comes

// The mean square of w after 300 steps of w = w - rate (w + noise), over many walks that begin at 3.
static double after_noise(const Schedule& rate) {
  const int walks = 4000;
  Random random{1};
  double sum = 0;
  for (int walk = 0; walk < walks; ++walk) {
    const Row noise = normal({300}, random, DType::f64, backend("reference")).to_vector<double>();
    double w = 3;
    for (int step = 0; step < 300; ++step) w -= rate(step) * (w + noise[step]);
    sum += w * w / walks;
  }
  return sum;
}

static void noise() {
  fmt::print("rate                      mean square of w   rate / (2 - rate)\n");
  for (const double rate : {0.4, 0.2, 0.1, 0.05})
    fmt::print("{:<24g}{:>18.3f}{:>20.3f}\n", rate, after_noise(constant(rate)), rate / (2 - rate));
  fmt::print("0.005{:>37.3f}{:>20.3f}\n", after_noise(constant(0.005)), 0.005 / (2 - 0.005));
  fmt::print("cosine, 0.4 to 0.005{:>22.3f}\n", after_noise(cosine(0.4, 0.005, 300)));
}

// ---- clip: two parameters, one limit

static void clip() {
  const Variable a = Variable::parameter(Tensor::zeros({2}, DType::f64, backend("reference"))),
                 b = Variable::parameter(Tensor::zeros({1}, DType::f64, backend("reference")));
  backward(a * 1.0, Tensor::from(Row{3, 0}, {2}, backend("reference")));
  backward(b * 1.0, Tensor::from(Row{-4}, {1}, backend("reference")));
  const Tensor norm = gradient_norm({{"a", a}, {"b", b}});
  fmt::print("gradients (3, 0) and (-4): norm {}\n", norm.item());
  for (const double limit : {1.0, 10.0})
    fmt::print("limit {:<3} scale {:<4} gradients ({}, 0) and ({})\n", limit, clip_scale(norm, limit).item(),
               3 * clip_scale(norm, limit).item(), -4 * clip_scale(norm, limit).item());
  fmt::print("a norm of infinity: scale {}\n",
             std::isnan(clip_scale(norm * 0 + HUGE_VAL, 1).item()) ? "nan" : "a number");
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"problem", problem}, {"rates", rates}, {"walkers", walkers}, {"path", path}, {"beginner", beginner},
      {"scales", scales},   {"decay", decay}, {"noise", noise},     {"clip", clip}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_learning: say which part: {}\n",
               "problem rates walkers path beginner scales decay noise clip");
    return 2;
  }
  part->second();
}
