// Chapter 5: the rungs of bench/ladder, our product and OpenBLAS against the size of the matrices and against
// this machine's peak; and tiles of other heights than the one that fits the registers.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "apps/report/limits.h"
#include "bench/ladder/matmul.h"
#include "docs/experiment/matmul_tiles.h"
#include "docs/tool/results.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/ops.h"

using namespace chapbook;

// GFLOP/s: the best of nine stretches of a hundredth of a second, since what disturbs one only makes it
// slower; or one call where that takes long.
static double rate(double flops, const std::function<void()>& multiply) {
  std::vector<double> rates;
  for (int round = 0; round < 9; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    std::chrono::duration<double> time{};
    int calls = 0;
    for (; time.count() < 0.01; ++calls) {
      multiply();
      time = std::chrono::steady_clock::now() - begin;
    }
    rates.push_back(calls * flops / time.count() / 1e9);
    if (time.count() > 0.3) break;
  }
  return *std::max_element(rates.begin(), rates.end());
}

struct Matrices {
  int64_t m, n, k;
  Tensor a, b, y;

  Matrices(int64_t m, int64_t n, int64_t k) : m(m), n(n), k(k) {
    Random random{1};
    a = normal({m, k}, random), b = normal({k, n}, random), y = Tensor::empty({m, n});
  }
  double flops() const { return 2.0 * static_cast<double>(m * n * k); }
  double measure(ladder::Matmul multiply) const {
    return rate(flops(),
                [&] { multiply(m, n, k, a.view().as<float>(), b.view().as<float>(), y.view().as<float>()); });
  }
  double measure_ours(const char* which, int threads) const {
    const int before = thread_pool().threads();
    thread_pool().set_threads(threads);
    cpu::set_gemm(which);
    const double result = rate(flops(), [&] { default_backend().matmul(a.view(), b.view(), y.view(), {}); });
    cpu::set_gemm("own");
    thread_pool().set_threads(before);
    return result;
  }
};

// OpenBLAS chooses its kernels when it is loaded, and an older one does not know a newer processor. So it is
// measured once as it comes, and then this program begins again and tells it.
static double as_it_comes(char** arguments) {
  if (!cpu::has_openblas() || !cpu::describe_gemm_vectors().starts_with("avx512")) return 0;
  if (const char* before = std::getenv("OPENBLAS_AS_IT_COMES")) return std::atof(before);
  const double gflops = Matrices(1024, 1024, 1024).measure_ours("openblas", 1);
  setenv("OPENBLAS_AS_IT_COMES", fmt::format("{}", gflops).c_str(), 1);
  setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
  execv("/proc/self/exe", arguments);
  return gflops;
}

int main(int, char** arguments) {
  const double openblas_as_it_comes = as_it_comes(arguments);
  Results results("matmul", {"bench/ladder/matmul_1_naive.cpp", "bench/ladder/matmul_2_loop_order.cpp",
                             "bench/ladder/matmul_3_blocked.cpp", "bench/ladder/matmul_4_packed.cpp",
                             "bench/ladder/matmul_5_register_tile.cpp", "bench/ladder/matmul_kernel.h",
                             "bench/ladder/panels.h", "tensor/cpu/gemm.cpp", "tensor/cpu/gemm_kernel.h",
                             "docs/experiment/matmul_tiles.h"});
  const int threads = thread_pool().threads();
  thread_pool().set_threads(1);
  const double peak = measure_limits().flops / 1e9;
  thread_pool().set_threads(threads);
  const Limits limits = measure_limits();
  results.values["peak"] = {{"one", peak}, {"all", limits.flops / 1e9}};
  results.values["bandwidth"] = limits.bandwidth() / 1e9;
  results.values["balance"] = limits.flops / limits.bandwidth();
  results.values["threads"] = threads;
  results.values["openblas_as_it_comes"] = openblas_as_it_comes;

  Plot plot{"Products of n x n matrices, one thread", "n", "GFLOP/s", true, true, {}};
  std::vector<Line> lines;
  for (const ladder::Rung& rung : ladder::matmul_rungs()) lines.push_back({rung.name, {}, {}});
  lines.pop_back();  // threads
  lines.push_back({"in use", {}, {}});
  if (cpu::has_openblas()) lines.push_back({"OpenBLAS", {}, {}});
  for (const int64_t n : {32, 64, 128, 256, 512, 768, 1000, 1024}) {
    const Matrices x(n, n, n);
    const std::string key = std::to_string(n);
    for (size_t i = 0; i < lines.size(); ++i) {
      const double gflops = i < 6 ? x.measure(ladder::matmul_rungs()[i].multiply)
                                  : x.measure_ours(i == 6 ? "own" : "openblas", 1);
      static constexpr const char* keys[] = {"naive", "order",   "blocked", "packed",
                                             "tile",  "vectors", "ours",    "openblas"};
      results.values["one"][keys[i]][key] = gflops;
      if (n == 1000) continue;  // beside 1024, for the text
      lines[i].x.push_back(static_cast<double>(n)), lines[i].y.push_back(gflops);
    }
    fmt::print("n {}: naive {:.1f}, order {:.1f}, ours {:.1f}\n", n,
               results.values["one"]["naive"][key].get<double>(),
               results.values["one"]["order"][key].get<double>(),
               results.values["one"]["ours"][key].get<double>());
    std::fflush(stdout);
  }
  Line top{"peak", {32, 1024}, {peak, peak}};
  lines.push_back(top);
  plot.lines = lines;
  results.figure("matmul-ladder", plot);

  // Shapes of a training step: 2,048 tokens of `tiny` and of GPT-2, on all threads.
  for (const auto& [name, m, n, k] : {std::tuple{"tiny", 2048, 384, 128},
                                      {"gpt2", 1024, 3072, 768},
                                      {"square", 1024, 1024, 1024},
                                      {"small", 64, 64, 64}}) {
    const Matrices x(m, n, k);
    Json& here = results.values["all"][name];
    here["ours"] = x.measure_ours("own", threads);
    if (cpu::has_openblas()) here["openblas"] = x.measure_ours("openblas", threads);
    here["threads"] = x.measure(ladder::matmul_threads);
    here["intensity"] =
        x.flops() / (4.0 * static_cast<double>(int64_t{m} * k + int64_t{k} * n + int64_t{m} * n));
  }

  Plot tall{"A tile of 32 columns, by its rows", "rows of the tile", "GFLOP/s", false, false, {}};
  Line measured{"from the first cache", {}, {}}, best{"peak", {1, 24}, {peak, peak}};
  for (const auto& [rows, multiply] : tile_products()) {
    const int64_t k = 256;
    const Matrices x(rows, 32, k);
    const double gflops = rate(1000 * x.flops(), [&] {
      for (int i = 0; i < 1000; ++i)
        multiply(k, x.a.view().as<float>(), x.b.view().as<float>(), x.y.view().as<float>());
    });
    measured.x.push_back(rows), measured.y.push_back(gflops);
    results.values["rows"][std::to_string(rows)] = gflops;
  }
  tall.lines = {measured, best};
  results.figure("matmul-tiles", tall);
  results.write();
}
