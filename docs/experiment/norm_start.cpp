// Chapter 9: where the gradient is in a model of 12 blocks, at the start and a hundred steps later, with
// norms before each branch and after it; and which way the wrong backward pass leads.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "docs/demo/norm_stack.h"
#include "docs/demo/story_bytes.h"
#include "docs/tool/results.h"
#include "optim/optimizer.h"

using namespace chapbook;

constexpr int64_t batch = 8, context = 64, steps = 100, warmup = 50;
constexpr double rate = 1e-3;
constexpr uint64_t seed = 1;
static const GPTConfig config{.layers = 12, .heads = 4, .width = 64, .context = context, .vocabulary = 256};

// The size of the first MLP matrix's gradient in every block, of the batch that was walked back.
static Line by_block(const NormedGPT& model, const std::string& name) {
  Line line{name, {}, {}};
  for (size_t i = 0; i < model.h.size(); ++i) {
    line.x.push_back(static_cast<double>(i + 1));
    line.y.push_back(size_of_numbers(model.h[i].mlp.c_fc.weight.gradient()));
  }
  return line;
}

// All gradients of a model on a batch, with its norms as they are or as they should be; they are cleared.
static std::vector<Tensor> gradients(NormedGPT& model, const StoryBatches& batches, Norm norm) {
  const Norm as_it_is = model.h[0].norm;
  for (NormedBlock& block : model.h) block.norm = norm;
  backward(model.loss(batches.inputs, batches.targets));
  for (NormedBlock& block : model.h) block.norm = as_it_is;
  std::vector<Tensor> all;
  for (Parameter& each : parameters(model)) {
    all.push_back(each.variable.gradient());
    each.variable.clear_gradient();
  }
  return all;
}

// 1: the same direction; 0: at right angles.
static double cosine(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double product = 0, length_a = 0, length_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += sum(a[i] * b[i]).item();
    length_a += sum(a[i] * a[i]).item(), length_b += sum(b[i] * b[i]).item();
  }
  return product / std::sqrt(length_a * length_b);
}

struct Course {
  Line start, end;  // the gradient by block, before any step and after all
  Line direction;   // frozen: the cosine of the wrong and the right gradient, every five steps
  double loss = 0;  // the mean of the last ten
};

static Course learning(Norm norm, const std::string& name) {
  NormedGPT model(config, norm);
  model.initialise(0.02, true, seed);
  AdamW optimizer(parameters(model));
  StoryBatches batches(batch, context, seed);
  Course course;
  course.direction.name = name;
  for (int64_t step = 1; step <= steps; ++step) {
    batches.next();
    if (norm == Norm::frozen && (step == 1 || step % 5 == 0)) {
      course.direction.x.push_back(static_cast<double>(step));
      course.direction.y.push_back(
          cosine(gradients(model, batches, Norm::frozen), gradients(model, batches, Norm::before)));
    }
    const Variable loss = model.loss(batches.inputs, batches.targets);
    backward(loss);
    if (step == 1) course.start = by_block(model, name + ", first step");
    if (step == steps) course.end = by_block(model, fmt::format("{}, step {}", name, steps));
    optimizer.step(rate * std::min(1.0, static_cast<double>(step) / warmup));
    optimizer.clear_gradients();
    if (step > steps - 10) course.loss += loss.value().item() / 10;
  }
  fmt::print("{}: {:.3f}\n", name, course.loss);
  return course;
}

int main() {
  Results results(
      "norm_start",
      {"docs/demo/norm_stack.h", "nn/norm.h", "nn/attention.h", "nn/mlp.h", "tensor/reference/norm.cpp"},
      seed);
  results.configuration = {{"layers", 12},       {"width", 64},    {"heads", 4},
                           {"context", context}, {"batch", batch}, {"steps", steps},
                           {"warmup", warmup},   {"rate", rate},   {"text", "built-in stories, bytes"}};
  const Course before = learning(Norm::before, "before"), after = learning(Norm::after, "after"),
               frozen = learning(Norm::frozen, "wrong against right");
  const auto spread = [](const Line& line) {
    const auto [least, most] = std::minmax_element(line.y.begin(), line.y.end());
    return *most / *least;
  };
  const auto entries = [&](const Course& course) {
    return Json{{"loss", course.loss},
                {"first", course.start.y.front()},
                {"last", course.start.y.back()},
                {"spread", spread(course.start)},
                {"first_later", course.end.y.front()},
                {"last_later", course.end.y.back()},
                {"spread_later", spread(course.end)}};
  };
  const auto& cosines = frozen.direction.y;
  results.values = {{"before", entries(before)},
                    {"after", entries(after)},
                    {"cosine",
                     {{"first", cosines.front()},
                      {"last", cosines.back()},
                      {"least", *std::min_element(cosines.begin(), cosines.end())},
                      {"most", *std::max_element(cosines.begin(), cosines.end())}}},
                    {"frozen_loss", frozen.loss}};
  results.figure("norm-start", {"Gradient of each block's first MLP matrix, 12 blocks, GPT-2's start",
                                "block",
                                "root mean square",
                                false,
                                true,
                                {before.start, after.start, before.end, after.end}});
  results.figure("norm-direction", {"The cosine between the wrong gradient and the right one",
                                    "step",
                                    "cosine",
                                    false,
                                    false,
                                    {frozen.direction}});
  results.write();
}
