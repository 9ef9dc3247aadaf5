// Chapter 11: memory and time of attention against the context, by its definition and as one op; what a
// second head is good for; and a way back that takes the log of the sum for a constant.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "docs/demo/recall.h"
#include "docs/tool/results.h"
#include "tensor/profile/profile_backend.h"

using namespace chapbook;

constexpr int64_t heads = 4, head_size = 32;

static Variable run_attention(bool ours, const Variable& qkv) {
  return ours ? attention(qkv, heads) : attention_in_steps(qkv, heads);
}

struct Measured {
  double megabytes, forward, both;  // at most, of tensors; ms
};

static Measured measure(bool ours, int64_t T) {
  Random random{1};
  Measured cost{};
  {
    ProfileBackend backend(::chapbook::backend("cpu"));
    const Variable qkv =
        Variable::parameter(normal({1, T, 3 * heads * head_size}, random, DType::f32, backend));
    backend.blocks().reset_peak();
    backward(run_attention(ours, qkv), normal({1, T, heads * head_size}, random, DType::f32, backend));
    cost.megabytes = static_cast<double>(backend.blocks().peak_bytes()) / 1e6;
  }
  const Variable qkv =
      Variable::parameter(normal({1, T, 3 * heads * head_size}, random, DType::f32, backend("cpu")));
  const Tensor dy = normal({1, T, heads * head_size}, random, DType::f32, backend("cpu"));
  std::vector<double> forward, both;
  for (int round = 0; round < 7; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] {
      return 1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    const Variable y = run_attention(ours, qkv);
    forward.push_back(elapsed());
    backward(y, dy);
    both.push_back(elapsed());
  }
  for (auto& [times, result] : {std::pair{&forward, &cost.forward}, {&both, &cost.both}}) {
    std::sort(times->begin(), times->end());
    *result = (*times)[times->size() / 2];
  }
  return cost;
}

static void against_context(Results& results) {
  Plot memory{"Memory of attention, there and back", "places", "MB at most", true, true, {}},
      time{"Time of attention, there and back", "places", "ms", true, true, {}};
  Line bare{"q, k, v, y and their gradients", {}, {}};
  for (const bool ours : {false, true}) {
    const char *name = ours ? "one op" : "in steps", *key = ours ? "ours" : "steps";
    Line megabytes{name, {}, {}}, milliseconds{name, {}, {}};
    for (int64_t T = 64; T <= 2048; T *= 2) {
      const Measured here = measure(ours, T);
      megabytes.x.push_back(static_cast<double>(T)), milliseconds.x.push_back(static_cast<double>(T));
      megabytes.y.push_back(here.megabytes), milliseconds.y.push_back(here.both);
      results.values["memory"][key][std::to_string(T)] = here.megabytes;
      results.values["time"][key][std::to_string(T)] = {{"forward", here.forward}, {"both", here.both}};
      if (ours) {
        bare.x.push_back(static_cast<double>(T));
        bare.y.push_back(static_cast<double>(8 * T * heads * head_size) * 4 / 1e6);
      }
      fmt::print("{} T {}: {:.2f} MB, {:.2f} ms forward, {:.2f} ms both\n", key, T, here.megabytes,
                 here.forward, here.both);
    }
    memory.lines.push_back(megabytes), time.lines.push_back(milliseconds);
  }
  memory.lines.push_back(bare);
  results.figure("attention-memory", memory);
  results.figure("attention-time", time);
}

constexpr int64_t seeds = 5;

static Line learn(Results& results, const std::string& group, const std::string& key, const std::string& name,
                  int64_t steps, const std::function<Looker()>& make) {
  std::vector<double> losses(steps);
  double loss = 0, low = INFINITY, high = 0, right = 0;
  for (int64_t seed = 1; seed <= seeds; ++seed) {
    Looker model = make();
    const Learned learned = learn_recall(model, steps, static_cast<uint64_t>(seed));
    for (size_t i = 0; i < losses.size(); ++i) losses[i] += learned.losses[i] / seeds;
    loss += learned.loss / seeds, right += learned.right / seeds;
    low = std::min(low, learned.loss), high = std::max(high, learned.loss);
  }
  results.values[group][key] = {{"loss", loss}, {"low", low}, {"high", high}, {"right", right}};
  fmt::print("{} {}: {:.4f}, {:.4f} to {:.4f}, right {:.3f}\n", group, key, loss, low, high, right);
  std::fflush(stdout);
  Line line{name, {}, {}};
  for (size_t step = 20; step <= losses.size(); step += 20) {
    double sum = 0;
    for (size_t i = step - 20; i < step; ++i) sum += losses[i] / 20;
    line.x.push_back(static_cast<double>(step)), line.y.push_back(sum);
  }
  return line;
}

int main() {
  Results results("attention_memory", {"docs/demo/recall.h", "nn/attention.cpp", "tensor/cpu/attention.cpp",
                                       "autograd/ops.cpp#fn:attention(const Variable& qkv"});
  results.configuration = {{"heads", heads}, {"D", head_size}, {"batch", 1}, {"seeds", seeds}};
  against_context(results);

  Plot two{"Two names asked for at once, 64 numbers wide",
           "step",
           "loss (nats per answer), mean of 5 seeds",
           false,
           false,
           {}};
  for (const int64_t count : {1, 2, 4, 8})
    two.lines.push_back(learn(results, "heads", std::to_string(count),
                              fmt::format("{} head{}", count, count == 1 ? "" : "s"), 600,
                              [&] { return Looker(Look::attention, 64, count, 2); }));
  results.figure("attention-heads", two);

  Plot broken{"One name asked for, and a way back that is wrong",
              "step",
              "loss (nats), mean of 5 seeds",
              false,
              false,
              {}};
  for (const auto& [look, key, name] : {std::tuple{Look::attention, "right", "right"},
                                        {Look::frozen, "frozen", "log of the sum taken for a constant"},
                                        {Look::everywhere, "mean", "the plain mean of all places"}})
    broken.lines.push_back(
        learn(results, "broken", key, name, 600, [&, look = look] { return Looker(look, 32); }));
  results.figure("attention-broken", broken);
  results.write();
}
