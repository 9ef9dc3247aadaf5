// Chapter 3: what an elementwise op costs, on rungs from the first loop to ours, and how many bytes a second
// it moves at each size. Forty seconds; nothing else should run.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <functional>

#include "docs/demo/elementwise.h"
#include "docs/tool/results.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/ops.h"

using namespace chapbook;

// Seconds of a call: the least of several rounds, each long enough to be timed.
static double seconds(const std::function<void()>& f, double budget) {
  using Clock = std::chrono::steady_clock;
  const auto time = [&](int64_t calls) {
    const auto start = Clock::now();
    for (int64_t i = 0; i < calls; ++i) f();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  f();
  int64_t calls = 1;
  double took = time(calls);
  while (took < budget / 20) took = time(calls *= 2);
  double best = took / static_cast<double>(calls);
  for (double used = took; used < budget; used += took) {
    took = time(calls);
    best = std::min(best, took / static_cast<double>(calls));
  }
  return best;
}

[[gnu::noinline]] static void library_exp(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}
[[gnu::noinline]] static void fused(const float* a, const float* b, const float* c, float* y, int64_t n) {
  parallel_for(n, 16384, [&](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) y[i] = a[i] * b[i] + c[i];
  });
}

static Tensor numbers(const Shape& shape) {
  Random random{1};
  return uniform(shape, random, DType::f32, backend("cpu"));
}

int main() {
  Results results("elementwise",
                  {"tensor/elementwise.h", "tensor/math.h", "tensor/loop.h", "tensor/cpu/loop.h",
                   "tensor/cpu/elementwise.cpp", "tensor/cpu/thread_pool.cpp", "docs/demo/elementwise.h"});
  results.configuration = {{"rungs", "(1024, 1024) plus a row of 1,024, and exp of as many numbers"},
                           {"sizes", "y = a + b and y = exp(a), each operand from 1 KB to 64 MB"}};
  results.values["caches"] = {{"l1", sysconf(_SC_LEVEL1_DCACHE_SIZE)},
                              {"l2", sysconf(_SC_LEVEL2_CACHE_SIZE)},
                              {"l3", sysconf(_SC_LEVEL3_CACHE_SIZE)}};
  Backend &cpu = backend("cpu"), &reference = backend("reference");
  const int threads = thread_pool().threads();

  // The rungs, in nanoseconds for each number.
  const int64_t n = 1 << 20;
  const Tensor x = numbers({1024, 1024}), row = numbers({1024}), y = numbers({1024, 1024});
  const std::vector<float> vx = x.to_vector<float>(), vrow = row.to_vector<float>();
  std::vector<float> keep;
  const View stretched = row.view().broadcast_to({1024, 1024});
  const auto rung = [&](const char* op, const char* name, double budget, const std::function<void()>& f) {
    const double each = seconds(f, budget) / n * 1e9;
    results.values["rungs"][op][name] = each;
    fmt::print("{} {}: {:.3f} ns a number\n", op, name, each);
  };
  const auto add_ours = [&] { cpu.binary(Binary::add, x.view(), stretched, y.view()); };
  const auto exp_ours = [&] { cpu.unary(Unary::exp, x.view(), y.view()); };
  rung("add", "reference", 0.3, [&] { reference.binary(Binary::add, x.view(), stretched, y.view()); });
  rung("add", "beginner", 0.5, [&] { keep = add(vx, vrow); });
  rung("exp", "reference", 0.3, [&] { reference.unary(Unary::exp, x.view(), y.view()); });
  rung("exp", "library", 0.5, [&] { library_exp(x.view().as<float>(), y.view().as<float>(), n); });
  for (const int count : {threads, 1}) {
    thread_pool().set_threads(count);
    const char* name = count == 1 ? "one_thread" : "all_threads";
    rung("add", name, 0.5, add_ours);
    rung("exp", name, 0.5, exp_ours);
  }

  // Two ops and one loop for a b + c.
  thread_pool().set_threads(threads);
  for (const auto& [size, name] : {std::pair{int64_t{1} << 16, "small"}, {int64_t{1} << 24, "large"}}) {
    const Tensor a = numbers({size}), b = numbers({size}), c = numbers({size}), t = numbers({size});
    const double two = seconds(
                     [&] {
                       cpu.binary(Binary::mul, a.view(), b.view(), t.view());
                       cpu.binary(Binary::add, t.view(), c.view(), t.view());
                     },
                     0.5),
                 one = seconds(
                     [&] {
                       fused(a.view().as<float>(), b.view().as<float>(), c.view().as<float>(),
                             t.view().as<float>(), size);
                     },
                     0.5);
    results.values["fused"][name] = {{"two", two * 1e3}, {"one", one * 1e3}, {"ratio", two / one}};
    fmt::print("a b + c, {} numbers: {:.3f} ms in two ops, {:.3f} ms in one\n", size, two * 1e3, one * 1e3);
  }

  Plot plot{"Bytes read and written a second", "bytes of one operand", "GB/s", true, false, {}};
  for (const auto& [op, count] : {std::pair{"add", 1}, {"add", threads}, {"exp", 1}, {"exp", threads}}) {
    thread_pool().set_threads(count);
    const bool binary = std::string(op) == "add";
    Line line{
        fmt::format("{}, {} thread{}", binary ? "a + b" : "exp(a)", count, count == 1 ? "" : "s"), {}, {}};
    for (int power = 10; power <= 26; ++power) {
      const int64_t size = int64_t{1} << (power - 2);
      const Tensor a = numbers({size}), b = numbers({size}), z = numbers({size});
      const double each = seconds(
          [&] {
            if (binary)
              cpu.binary(Binary::add, a.view(), b.view(), z.view());
            else
              cpu.unary(Unary::exp, a.view(), z.view());
          },
          0.12);
      const double rate = static_cast<double>(size) * 4 * (binary ? 3 : 2) / each / 1e9;
      line.x.push_back(std::pow(2, power));
      line.y.push_back(rate);
      const char* name = count == 1 ? "one" : "all";
      results.values["rate"][op][name][std::to_string(power)] = rate;
      results.values["ns"][op][name][std::to_string(power)] = each / static_cast<double>(size) * 1e9;
    }
    plot.lines.push_back(line);
    cpu.blocks().trim();
  }
  results.values["threads"] = threads;
  results.figure("bandwidth", plot);
  results.write();
}
