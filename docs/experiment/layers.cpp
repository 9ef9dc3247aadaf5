// Chapter 8: how the residual stream grows with depth, whether it matters for learning; units that fall
// silent; and dropout on few stories.
#include <fmt/format.h>

#include <cmath>

#include "docs/demo/norm_stack.h"
#include "docs/demo/small_net.h"
#include "docs/demo/story_bytes.h"
#include "docs/tool/results.h"
#include "optim/optimizer.h"

using namespace chapbook;

// ---- the stream: x + mlp(norm(x)), again and again

constexpr int64_t width = 128;

static Line stream(const char* name, int branches, double scale, bool with_norm) {
  Random random{1};
  const LayerNorm norm(width, false);
  Variable x(normal({256, width}, random));
  Line line{name, {0}, {size_of_numbers(x.value())}};
  for (int branch = 1; branch <= branches; ++branch) {
    MLP mlp(width, false);
    mlp.c_proj.deviation *= scale;
    mlp.initialise(random);
    x = mlp(with_norm ? norm(x) : x, x);
    line.x.push_back(branch);
    line.y.push_back(size_of_numbers(x.value()));
  }
  return line;
}

// ---- learning with and without the scale of 1 / sqrt(branches)

static double learning(double deviation, bool scaled, double rate, uint64_t seed) {
  NormedGPT model({.layers = 12, .heads = 4, .width = 64, .context = 64, .vocabulary = 256}, Norm::before);
  model.initialise(deviation, scaled, seed);
  AdamW optimizer(parameters(model));
  StoryBatches batches(8, 64, seed);
  double sum = 0;
  constexpr int steps = 150, warmup = 20;
  for (int step = 1; step <= steps; ++step) {
    batches.next();
    const Variable loss = model.loss(batches.inputs, batches.targets);
    backward(loss);
    optimizer.step(rate * std::min(1.0, static_cast<double>(step) / warmup));
    optimizer.clear_gradients();
    if (step > steps - 10) sum += loss.value().item() / 10;
  }
  fmt::print("deviation {}, {}, rate {}, seed {}: {:.3f}\n", deviation, scaled ? "scaled" : "not scaled",
             rate, seed, sum);
  return sum;
}

// ---- units of one hidden layer that are silent for all points

static void silent_units(Results& results) {
  const std::vector<Point> points = spiral(100);
  Plot plot{"Units that are silent for every point, of 64", "step", "units", false, false, {}};
  for (const Bend kind : {Bend::relu, Bend::gelu}) {
    const std::string name = kind == Bend::relu ? "ReLU" : "GELU";
    for (const double rate : {0.1, 5.0}) {
      Random random{1};
      SmallNet net(kind, {2, 64, 1},
                   [&](double in) { return normal_at(random.seed, random.take(1), 0) / std::sqrt(in); });
      Line line{fmt::format("{}, rate {}", name, rate), {}, {}};
      std::vector<bool> before = net.silent(points);
      int woken = 0;
      for (int step = 0; step <= 1000; ++step) {
        const std::vector<bool> now = net.silent(points);
        for (size_t j = 0; j < now.size(); ++j) woken += before[j] && !now[j];
        before = now;
        if (step % 20 == 0) {
          line.x.push_back(step);
          line.y.push_back(static_cast<double>(std::count(now.begin(), now.end(), true)));
        }
        net.learn(points, rate);
      }
      const std::string key =
          fmt::format("{}_{}", kind == Bend::relu ? "relu" : "gelu", rate < 1 ? "low" : "high");
      results.values["silent"][key] = {
          {"begin", line.y.front()}, {"end", line.y.back()}, {"woken", woken}, {"loss", net.loss(points)}};
      fmt::print("{}: {} silent at the end, {} woken, loss {:.3f}\n", line.name, line.y.back(), woken,
                 net.loss(points));
      plot.lines.push_back(line);
    }
  }
  results.figure("silent-units", plot);
}

// ---- dropout: eight stories to learn from, others to be asked about

constexpr int stories = 8;

static double loss_on(const GPT& model, StoryBatches& batches) {
  NoGrad none;
  double sum = 0;
  for (int i = 0; i < 8; ++i) {
    batches.next();
    sum += model.loss(batches.inputs, batches.targets).value().item() / 8;
  }
  return sum;
}

static void dropouts(Results& results) {
  Plot plot{
      "Loss on stories it has not seen, learning from 8", "step", "loss (nats per byte)", false, false, {}};
  Line left_on{"dropout 0.2, left on when asked", {}, {}};
  for (const double p : {0.0, 0.2}) {
    GPT model({.layers = 2, .heads = 4, .width = 64, .context = 64, .vocabulary = 256, .dropout = p});
    Random random{1}, masks{2};
    model.initialise(random);
    AdamW optimizer(parameters(model));
    const std::vector<uint16_t> text = story_bytes(stories, 1);
    Loader loader(text, 8, 64, {.seed = 1});
    Line line{p > 0 ? "dropout 0.2" : "no dropout", {}, {}};
    double training = 0;
    for (int step = 1; step <= 1500; ++step) {
      std::vector<int32_t> x(8 * 64), y(x);
      loader.next(x, y);
      model.train_with(&masks);
      const Variable loss = model.loss(Tensor::from(x, {8, 64}), Tensor::from(y, {8, 64}));
      backward(loss);
      optimizer.step(3e-3 * std::min(1.0, step / 50.0));
      optimizer.clear_gradients();
      if (step > 1450) training += loss.value().item() / 50;
      if (step % 50) continue;
      if (p > 0) {
        StoryBatches others(8, 64, 99);
        left_on.x.push_back(step), left_on.y.push_back(loss_on(model, others));
      }
      model.train_with(nullptr);
      StoryBatches others(8, 64, 99);
      line.x.push_back(step), line.y.push_back(loss_on(model, others));
    }
    const char* key = p > 0 ? "p20" : "p0";
    results.values["dropout"][key] = {{"training", training},
                                      {"best", *std::min_element(line.y.begin(), line.y.end())},
                                      {"end", line.y.back()}};
    fmt::print("{}: training {:.3f}, others best {:.3f}, at the end {:.3f}\n", line.name, training,
               results.values["dropout"][key]["best"].get<double>(), line.y.back());
    plot.lines.push_back(line);
  }
  results.values["dropout"]["left_on"] = {{"end", left_on.y.back()}};
  plot.lines.push_back(left_on);
  results.values["dropout"]["bytes"] = story_bytes(stories, 1).size();
  results.figure("dropout", plot);
}

int main() {
  Results results("layers", {"docs/demo/small_net.h", "docs/demo/norm_stack.h", "nn/linear.h",
                             "nn/embedding.h", "nn/dropout.h", "nn/mlp.h", "nn/norm.h"});
  results.configuration = {
      {"stream", "x + mlp(norm(x)), 128 wide, 256 rows"},
      {"learning", "12 blocks, 64 wide, 150 steps of 8 x 64 bytes of built-in stories"},
      {"silent", "2-64-1 on a spiral of 100 points, momentum 0.9"},
      {"dropout", "2 blocks, 64 wide, 1500 steps of 8 x 64 bytes of 8 built-in stories"}};

  const int branches = 32;
  Plot plot{"Size of the stream, 128 wide", "branches", "root mean square", false, true, {}};
  plot.lines.push_back(stream("with norms", branches, 1, true));
  Line formula{"sqrt(1 + 0.425 k)", {}, {}};
  for (int k = 0; k <= branches; ++k) formula.x.push_back(k), formula.y.push_back(std::sqrt(1 + 0.425 * k));
  plot.lines.push_back(formula);
  plot.lines.push_back(stream("norms, divided", branches, 1 / std::sqrt(branches), true));
  plot.lines.push_back(stream("no norms", branches, 1, false));
  results.figure("residual-size", plot);
  results.values["stream"] = {{"norm", plot.lines[0].y.back()},
                              {"formula", formula.y.back()},
                              {"scaled", plot.lines[2].y.back()},
                              {"none", plot.lines[3].y.back()}};
  for (const int deep : {2, 8, 32, 128}) {
    const std::string key = std::to_string(deep);
    results.values["depth"][key] = {
        {"plain", stream("", deep, 1, true).y.back()},
        {"formula", std::sqrt(1 + 0.425 * deep)},
        {"scaled", stream("", deep, 1 / std::sqrt(static_cast<double>(deep)), true).y.back()}};
  }

  silent_units(results);
  dropouts(results);

  for (const auto& [deviation, name] : {std::pair{0.02, "small"}, {0.125, "large"}})
    for (const bool scaled : {true, false})
      for (const auto& [rate, key] : {std::pair{1e-3, "1e-3"}, {1e-2, "1e-2"}}) {
        Json& value = results.values["learning"][name][scaled ? "scaled" : "plain"][key];
        double low = HUGE_VAL, high = 0, sum = 0;
        for (const uint64_t seed : {1, 2, 3}) {
          const double loss = learning(deviation, scaled, rate, seed);
          low = std::min(low, loss), high = std::max(high, loss), sum += loss;
        }
        value = {{"low", low}, {"high", high}, {"mean", sum / 3}};
      }
  results.write();
}
