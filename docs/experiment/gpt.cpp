// Chapter 12: learning from several starts, and with blocks whose residual connections are cut.
#include <fmt/format.h>

#include <algorithm>

#include "docs/demo/norm_stack.h"
#include "docs/demo/story_bytes.h"
#include "docs/tool/results.h"
#include "optim/optimizer.h"

using namespace chapbook;

constexpr int64_t batch = 8, context = 64, steps = 300, warmup = 50;
constexpr double rate = 1e-3;
constexpr uint64_t seed = 1;

static GPTConfig config_of(int64_t layers) {
  return {.layers = layers, .heads = 4, .width = 64, .context = context, .vocabulary = 256};
}

static void draw(const Variable& parameter, double deviation) {
  Random random{seed + 1};
  const Tensor& value = parameter.value();
  value.backend().copy((normal(value.shape(), random) * deviation).view(), value.view());
}

// A block that does not add to the stream but replaces it.
static Variable replaced(const NormedBlock& block, const Variable& x) {
  const Variable seen = block.attn(block.ln_1(x), {});
  return block.mlp(block.ln_2(seen), {});
}

// What the head scores.
static Variable hidden(const NormedGPT& model, const Tensor& tokens, bool residual) {
  Variable x = model.embed(tokens);
  for (const NormedBlock& block : model.h) x = residual ? block(x) : replaced(block, x);
  return model.ln_f(x);
}

struct Start {
  std::string name;
  int64_t layers = 4;
  double embedding = 0.02;  // deviation of wte
  bool tied = true, residual = true;
};

// The loss of the first step, and then the mean of every ten.
static Line learning(const Start& start) {
  NormedGPT model(config_of(start.layers), Norm::before);
  model.initialise(0.02, true, seed);
  draw(model.wte.weight, start.embedding);
  std::vector<Parameter> all = parameters(model);
  Variable head = model.wte.weight;
  if (!start.tied) {
    head = Variable::parameter(Tensor::zeros(head.shape()));
    draw(head, 0.02);
    all.push_back({"lm_head.weight", head});
  }
  AdamW optimizer(all);
  StoryBatches batches(batch, context, seed);
  Line line{start.name, {}, {}};
  double sum = 0;
  for (int64_t step = 1; step <= steps; ++step) {
    batches.next();
    const Variable loss =
        linear_cross_entropy(hidden(model, batches.inputs, start.residual), head, batches.targets);
    backward(loss);
    optimizer.step(rate * std::min(1.0, static_cast<double>(step) / warmup));
    optimizer.clear_gradients();
    sum += loss.value().item();
    if (step == 1 || step % 10 == 0) {
      line.x.push_back(static_cast<double>(step));
      line.y.push_back(step == 1 ? sum : sum / (step == 10 ? 9 : 10));
      sum = 0;
    }
  }
  fmt::print("{}, {} layers: {:.3f} -> {:.3f}\n", line.name, start.layers, line.y.front(), line.y.back());
  return line;
}

int main() {
  Results results(
      "gpt",
      {"docs/demo/norm_stack.h", "nn/gpt.cpp#fn:Block::Block", "nn/attention.h", "nn/mlp.h", "nn/norm.h"},
      seed);
  results.configuration = {
      {"width", 64},    {"heads", 4},       {"context", context}, {"batch", batch},
      {"steps", steps}, {"warmup", warmup}, {"rate", rate},       {"text", "built-in stories, bytes"}};

  Plot starts{
      "Learning from three starts, 4 blocks, 64 wide", "step", "loss (nats per byte)", false, true, {}};
  for (const Start& start :
       {Start{.name = "tied, wte 0.02 (GPT-2)"}, Start{.name = "tied, wte 1", .embedding = 1},
        Start{.name = "head of its own", .tied = false}})
    starts.lines.push_back(learning(start));
  results.values["starts"] = {{"gpt2", starts.lines[0].y.back()},
                              {"large_first", starts.lines[1].y.front()},
                              {"large", starts.lines[1].y.back()},
                              {"untied", starts.lines[2].y.back()}};
  results.figure("gpt-starts", starts);

  Plot cut{"Blocks that add to the stream, and blocks that replace it",
           "step",
           "loss (nats per byte)",
           false,
           false,
           {}};
  for (const Start& start :
       {Start{.name = "8 blocks", .layers = 8},
        Start{.name = "8 blocks, no residual connections", .layers = 8, .residual = false},
        Start{.name = "1 block, no residual connections", .layers = 1, .residual = false}})
    cut.lines.push_back(learning(start));
  results.values["cut"] = {
      {"whole", cut.lines[0].y.back()}, {"cut", cut.lines[1].y.back()}, {"cut_one", cut.lines[2].y.back()}};
  results.figure("gpt-cut", cut);
  results.values["ln_gpt2"] = std::log(50257.0);  // the vocabulary of GPT-2
  results.write();
}
