// Times the rungs of the matrix product, the product that Chapbook uses and OpenBLAS, in turns, against what
// the machine's multiply-add units can do.
//   ladder_matmul [--out FILE] [--rounds N] [MxNxK...]
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <utility>

#include "apps/report/limits.h"
#include "apps/report/machine.h"
#include "bench/ladder/matmul.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/ops.h"

#ifdef CHAPBOOK_OPENBLAS
#include <cblas.h>
#endif

namespace chapbook::ladder {
namespace {

struct Contender {
  std::string name;
  int threads;
  std::function<void()> multiply;
  std::string change;              // what it does that the rung before does not
  std::vector<double> rates = {};  // GFLOP/s, one for each round

  double median() const {
    std::vector<double> sorted = rates;
    std::nth_element(sorted.begin(), sorted.begin() + sorted.size() / 2, sorted.end());
    return sorted[sorted.size() / 2];
  }
};

// Calls for a twentieth of a second, and at least once; GFLOP/s.
double rate(const std::function<void()>& multiply, double flops) {
  const auto start = std::chrono::steady_clock::now();
  std::chrono::duration<double> time{};
  int calls = 0;
  while (time.count() < 0.05) {
    multiply();
    ++calls;
    time = std::chrono::steady_clock::now() - start;
  }
  return calls * flops / time.count() / 1e9;
}

std::vector<Contender> contenders(int64_t m, int64_t n, int64_t k, const View& a, const View& b,
                                  const View& y) {
  const float *left = a.as<float>(), *right = b.as<float>();
  float* result = y.as<float>();
  const int threads = thread_pool().threads();
  std::vector<Contender> all;
  for (const Rung& rung : matmul_rungs())
    all.push_back({rung.name, rung.multiply == matmul_threads ? threads : 1,
                   [=] { rung.multiply(m, n, k, left, right, result); }, rung.change});
  for (const RungOfHalves& rung : matmul_rungs_of_halves())
    if (rung.fast())
      all.push_back({rung.name, threads, [=] { rung.multiply(m, n, k, left, right, result); }, rung.change});
    else
      fmt::print("not measured: this processor has no {}\n", rung.name);
  all.push_back(
      {"in use", threads, [=] { default_backend().matmul(a, b, y, {}); }, "what Chapbook multiplies with"});
  if (cpu::kernel_of_pairs()) {
    const Tensor half_a = Tensor::empty({m, k}, DType::bf16), half_b = Tensor::empty({k, n}, DType::bf16),
                 half_y = Tensor::empty({m, n}, DType::bf16);
    half_a.backend().copy(a, half_a.view());
    half_b.backend().copy(b, half_b.view());
    all.push_back({"in use, bf16", threads,
                   [=] { default_backend().matmul(half_a.view(), half_b.view(), half_y.view(), {}); },
                   "the same, with a, b and y in bf16"});
  }
#ifdef CHAPBOOK_OPENBLAS
  for (const int count : {1, threads}) {
    all.push_back({"OpenBLAS", count,
                   [=] {
                     openblas_set_num_threads(count);
                     cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(m),
                                 static_cast<int>(n), static_cast<int>(k), 1, left, static_cast<int>(k),
                                 right, static_cast<int>(n), 0, result, static_cast<int>(n));
                     openblas_set_num_threads(1);
                   },
                   ""});
    if (threads == 1) break;
  }
#endif
  return all;
}

// GFLOP/s of multiply-adds that wait for nothing.
double peak(int threads) {
  const int before = thread_pool().threads();
  thread_pool().set_threads(threads);
  const double flops = measure_limits().flops;
  thread_pool().set_threads(before);
  return flops / 1e9;
}

nlohmann::ordered_json run(int64_t m, int64_t n, int64_t k, int rounds) {
  Random random{1};
  const Tensor a = normal({m, k}, random), b = normal({k, n}, random), y = Tensor::empty({m, n});
  const int threads = thread_pool().threads();
  const double peak_of_one = peak(1), peak_of_all = peak(threads);
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  std::vector<Contender> all = contenders(m, n, k, a.view(), b.view(), y.view());
  for (int round = 0; round < rounds; ++round)
    for (Contender& contender : all)
      if (round == 0 || flops / contender.rates[0] < 3e9)
        contender.rates.push_back(rate(contender.multiply, flops));

  fmt::print("\n{} x {} x {}; peak {:.0f} GFLOP/s on one thread, {:.0f} on {}\n", m, n, k, peak_of_one,
             peak_of_all, threads);
  fmt::print("{:<14} {:>7} {:>8} {:>7} {:>8}\n", "", "threads", "GFLOP/s", "gain", "of peak");
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (size_t i = 0; i < all.size(); ++i) {
    const Contender& contender = all[i];
    const double rate = contender.median(),
                 share = rate / (contender.threads == 1 ? peak_of_one : peak_of_all);
    const auto [low, high] = std::minmax_element(contender.rates.begin(), contender.rates.end());
    rows.push_back({{"name", contender.name},
                    {"threads", contender.threads},
                    {"gflops", {{"median", rate}, {"min", *low}, {"max", *high}}},
                    {"share_of_peak", share}});
    std::string gain;
    if (i > 0 && i < matmul_rungs().size()) {
      rows.back()["gain"] = rate / all[i - 1].median();
      gain = fmt::format("{:.1f} x", rate / all[i - 1].median());
    }
    fmt::print("{:<14} {:>7} {:>8.1f} {:>7} {:>7.0f}%  {}\n", contender.name, contender.threads, rate, gain,
               100 * share, contender.change);
  }
  return {{"m", m},
          {"n", n},
          {"k", k},
          {"peak_gflops", {{"one_thread", peak_of_one}, {"all_threads", peak_of_all}}},
          {"rows", rows}};
}

int run_all(int argc, char** argv) {
  CLI::App program("The matrix product, rung by rung");
  std::vector<std::string> sizes = {"384x384x384", "1024x1024x1024", "256x4096x4096"};
  std::string out;
  int rounds = 5;
  program.add_option("sizes", sizes, "as MxNxK: a is (M, K), b (K, N)")->capture_default_str();
  program
      .add_option("--rounds", rounds,
                  "how often each is timed, in turns, for medians; what takes 3 s is timed once")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  program.add_option("--out", out, "a results file to write, as JSON");
  CLI11_PARSE(program, argc, argv);

  nlohmann::ordered_json results = {{"what", "matrix products y = a b of f32, GFLOP/s"},
                                    {"command", "ladder_matmul"},
                                    {"rounds", rounds},
                                    {"machine", machine_json()},
                                    {"sizes", nlohmann::ordered_json::array()}};
  for (int i = 1; i < argc; ++i)
    results["command"] = fmt::format("{} {}", results["command"].get<std::string>(), argv[i]);
  for (const std::string& size : sizes) {
    long long m = 0, n = 0, k = 0;
    int end = 0;
    check(std::sscanf(size.c_str(), "%lldx%lldx%lld%n", &m, &n, &k, &end) == 3 && size[end] == 0 && m > 0 &&
              n > 0 && k > 0,
          "'{}' is not a size such as 1024x512x384", size);
    results["sizes"].push_back(run(m, n, k, rounds));
  }
  if (!out.empty()) {
    std::ofstream file(out);
    file << results.dump(1) << '\n';
    check(file.good(), "{}: cannot be written", out);
  }
  return 0;
}

}  // namespace
}  // namespace chapbook::ladder

int main(int argc, char** argv) try {
  return chapbook::ladder::run_all(argc, argv);
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
