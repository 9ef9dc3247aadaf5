// Chapter 9: what norms do to gradients, and to learning: none, one before each branch, one after, and one
// whose backward pass is broken on purpose.
#include <fmt/format.h>

#include "docs/demo/norm_stack.h"
#include "docs/demo/story_bytes.h"
#include "docs/tool/results.h"
#include "optim/optimizer.h"

using namespace chapbook;

constexpr int64_t batch = 8, steps = 300, warmup = 50, context = 64;
constexpr uint64_t seed = 1;

static GPTConfig config_of(int64_t layers) {
  return {.layers = layers, .heads = 4, .width = 64, .context = context, .vocabulary = 256};
}

static const char* name_of(Norm norm) {
  static const char* names[] = {"no norms", "before each branch", "after each branch",
                                "before, statistics held constant"};
  return names[static_cast<int>(norm)];
}

// The loss of a model that knows how frequent each byte is, and nothing else.
static double byte_entropy(const std::vector<uint16_t>& text) {
  std::vector<double> counts(256);
  for (const uint16_t token : text) counts[token] += 1;
  double sum = 0;
  for (const double count : counts)
    if (count > 0)
      sum -= count / static_cast<double>(text.size()) * std::log(count / static_cast<double>(text.size()));
  return sum;
}

// The size of the first MLP matrix's gradient in every block, before any learning.
static Line gradients(Norm norm, double deviation) {
  NormedGPT model(config_of(24), norm);
  model.initialise(deviation, false, seed);
  StoryBatches batches(batch, context, seed);
  batches.next();
  backward(model.loss(batches.inputs, batches.targets));
  static const char* places[] = {"none", "before", "after"};
  Line line{fmt::format("{}, {}", places[static_cast<int>(norm)], deviation), {}, {}};
  for (size_t i = 0; i < model.h.size(); ++i) {
    line.x.push_back(static_cast<double>(i + 1));
    line.y.push_back(size_of_numbers(model.h[i].mlp.c_fc.weight.gradient()));
  }
  return line;
}

// The loss of every ten steps, their mean.
static Line learning(Norm norm, double rate) {
  NormedGPT model(config_of(12), norm);
  model.initialise(0.02, true, seed);
  AdamW optimizer(parameters(model));
  StoryBatches batches(batch, context, seed);
  Line line{name_of(norm), {}, {}};
  double sum = 0;
  for (int64_t step = 1; step <= steps; ++step) {
    batches.next();
    const Variable loss = model.loss(batches.inputs, batches.targets);
    backward(loss);
    optimizer.step(rate * std::min(1.0, static_cast<double>(step) / warmup));
    optimizer.clear_gradients();
    sum += loss.value().item();
    if (step % 10 != 0) continue;
    line.x.push_back(static_cast<double>(step));
    line.y.push_back(sum / 10);
    sum = 0;
  }
  fmt::print("{}, rate {}: {:.3f}\n", line.name, rate, line.y.back());
  return line;
}

int main() {
  Results results(
      "normalisation",
      {"docs/demo/norm_stack.h", "nn/norm.h", "nn/attention.h", "nn/mlp.h", "tensor/reference/norm.cpp"},
      seed);
  results.configuration = {
      {"layers", 12},   {"width", 64},    {"heads", 4},       {"context", context},
      {"batch", batch}, {"steps", steps}, {"warmup", warmup}, {"text", "built-in stories, bytes"}};

  results.values["byte_entropy"] = byte_entropy(story_bytes(2000, seed));

  Plot by_block{
      "Gradient of each block's first MLP matrix, 24 blocks", "block", "root mean square", false, true, {}};
  for (const auto& [norm, deviation] : {std::pair{Norm::none, 0.02},
                                        {Norm::none, 0.1},
                                        {Norm::before, 0.02},
                                        {Norm::before, 0.1},
                                        {Norm::after, 0.1}})
    by_block.lines.push_back(gradients(norm, deviation));
  results.values["gradient"] = {{"none_small", by_block.lines[0].y[0]},
                                {"none_large", by_block.lines[1].y[0]},
                                {"before_small", by_block.lines[2].y[0]},
                                {"before_large", by_block.lines[3].y[0]}};
  results.figure("norm-gradients", by_block);

  Plot by_rate{"Loss after 300 steps, 12 blocks", "learning rate", "loss (nats per byte)", true, false, {}};
  Plot broken{"A backward pass that takes mean and deviation for constants",
              "step",
              "loss (nats per byte)",
              false,
              false,
              {}};
  for (const auto& [norm, key] : {std::pair{Norm::none, "none"},
                                  {Norm::before, "before"},
                                  {Norm::after, "after"},
                                  {Norm::frozen, "frozen"}}) {
    Line losses{name_of(norm), {}, {}};
    for (const auto& [rate, name] :
         {std::pair{3e-4, "3e-4"}, {1e-3, "1e-3"}, {3e-3, "3e-3"}, {1e-2, "1e-2"}}) {
      Line line = learning(norm, rate);
      results.values["loss"][key][name] = line.y.back();
      losses.x.push_back(rate);
      losses.y.push_back(line.y.back());
      if ((norm == Norm::before || norm == Norm::frozen) && (rate == 1e-3 || rate == 3e-3)) {
        line.name = fmt::format("{}, rate {}", norm == Norm::before ? "right" : "wrong", rate);
        broken.lines.push_back(line);
      }
    }
    by_rate.lines.push_back(losses);
  }
  by_rate.lines.pop_back();  // the broken one has a picture of its own
  results.figure("norm-rates", by_rate);
  results.figure("norm-broken", broken);
  results.write();
}
