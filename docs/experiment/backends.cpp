// Chapter 6: one op on every backend at every size, and what one gets when one measures the same thing four
// hundred times, on a quiet machine and on one that has other work. Thirty seconds; nothing else should run.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>
#include <thread>

#include "docs/tool/results.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/ops.h"

using namespace chapbook;

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of a call: the least of several rounds, each long enough to be timed.
static double seconds(const std::function<void()>& f, double budget) {
  f();
  double best = HUGE_VAL;
  int64_t calls = 1;
  for (double used = 0; used < budget;) {
    const double start = now();
    for (int64_t i = 0; i < calls; ++i) f();
    const double took = now() - start;
    used += took;
    best = std::min(best, took / static_cast<double>(calls));
    if (took < budget / 20) calls *= 2;
  }
  return best;
}

static Line sizes(const char* name, Backend& device, int last, double budget, Json& values) {
  Line line{name, {}, {}};
  for (int power = 4; power <= last; power += 2) {
    Random random{1};
    const Tensor x = normal({int64_t{1} << power}, random, DType::f32, device), y = Tensor::like(x);
    const double each = seconds([&] { device.unary(Unary::gelu, x.view(), y.view()); }, budget) * 1e6;
    line.x.push_back(std::pow(2, power));
    line.y.push_back(each);
    values[std::to_string(power)] = each;
  }
  return line;
}

// The times of 400 calls in microseconds, sorted.
static std::vector<double> times() {
  const Tensor x = Tensor::full({1 << 18}, 1, DType::f32, backend("cpu")), y = Tensor::like(x);
  std::vector<double> all;
  for (int i = 0; i < 400; ++i) {
    const double start = now();
    backend("cpu").unary(Unary::gelu, x.view(), y.view());
    all.push_back((now() - start) * 1e6);
  }
  std::sort(all.begin(), all.end());
  return all;
}

int main() {
  Results results("backends", {"tensor/cpu/elementwise.cpp", "tensor/cpu/thread_pool.cpp",
                               "tensor/reference/elementwise.cpp", "tensor/cuda/elementwise.cu"});
  results.configuration = {{"op", "gelu of 16 to 4 million f32 numbers; simt up to 65,536"},
                           {"times", "400 calls of gelu on 262,144 numbers, cpu backend"}};
  const int threads = thread_pool().threads();
  Plot plot{"GELU on each backend", "numbers", "microseconds a call", true, true, {}};
  plot.lines.push_back(
      sizes("reference", backend("reference"), 20, 0.2, results.values["gelu"]["reference"]));
  plot.lines.push_back(sizes("simt", backend("simt"), 16, 0.2, results.values["gelu"]["simt"]));
  plot.lines.push_back(sizes(fmt::format("cpu, {} threads", threads).c_str(), backend("cpu"), 22, 0.2,
                             results.values["gelu"]["all"]));
  thread_pool().set_threads(1);
  plot.lines.push_back(sizes("cpu, 1 thread", backend("cpu"), 22, 0.2, results.values["gelu"]["one"]));
  thread_pool().set_threads(threads);
  results.figure("backends", plot);

  Plot sorted{"The same call, 400 times", "rank", "microseconds", false, true, {}};
  for (const bool busy : {false, true}) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> others;
    for (int i = 0; busy && i < threads; ++i)
      others.emplace_back([&] {
        for (volatile double x = 1; !stop;) x = x * 1.0000001;
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(busy ? 200 : 0));
    const std::vector<double> all = times();
    stop = true;
    for (std::thread& each : others) each.join();
    Line line{busy ? "beside other work" : "quiet", {}, {}};
    for (size_t i = 0; i < all.size(); i += 3)
      line.x.push_back(static_cast<double>(i + 1)), line.y.push_back(all[i]);
    sorted.lines.push_back(line);
    results.values["times"][busy ? "busy" : "quiet"] = {
        {"least", all.front()},
        {"median", all[all.size() / 2]},
        {"mean", std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size())},
        {"most", all.back()}};
    fmt::print("{}\n", results.values["times"].dump());
  }
  results.figure("timings", sorted);
  results.write();
}
