// Chapter 1: the error of a sum against the number of its terms, for three ways to add; and the third of them
// compiled with -ffast-math.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "docs/demo/sums.h"
#include "docs/tool/results.h"
#include "tensor/ops.h"

using namespace chapbook;

// The same loop as compensated_sum, where the compiler may take (next - sum) - more for 0.
#pragma GCC push_options
#pragma GCC optimize("fast-math")
[[gnu::noinline]] static float fast_math_sum(const float* x, size_t n) {
#ifdef __clang__
#pragma clang fp reassociate(on)
#endif
  float sum = 0, lost = 0;
  for (size_t i = 0; i < n; ++i) {
    const float more = x[i] + lost;
    const float next = sum + more;
    lost = more - (next - sum);
    sum = next;
  }
  return sum;
}
#pragma GCC pop_options

int main() {
  Results results("sums", {"docs/demo/sums.h", "tensor/dtype.h"});
  results.configuration = {{"numbers", "uniform between 0 and 1, or normal"}, {"draws", 32}};
  const int draws = 32;
  const std::vector<std::string> names = {"one after the other", "in pairs", "compensated",
                                          "with -ffast-math"};
  const std::vector<std::string> keys = {"naive", "pairs", "compensated", "fast_math", "mixed"};
  Plot plot{"Error of a sum of f32 numbers", "terms", "relative error", true, true, {}};
  for (const std::string& name : names) plot.lines.push_back({name, {}, {}});
  Line half_step{"half a step, n times", {}, {}};
  Random random{1};
  for (int64_t n = 16; n <= (1 << 22); n *= 4) {
    std::vector<double> squares(keys.size());
    for (int draw = 0; draw < draws; ++draw) {
      const std::vector<float> x = uniform({n}, random).to_vector<float>(),
                               y = normal({n}, random).to_vector<float>();
      double exact = 0, exact_mixed = 0, sizes = 0;  // f64 has 29 bits more: its error does not show
      for (const float each : x) exact += each;
      for (const float each : y) exact_mixed += each, sizes += std::abs(each);
      const std::span<const float> all(x), mixed(y);
      const double errors[] = {
          naive_sum(all) / exact - 1, pairwise_sum(all) / exact - 1, compensated_sum(all) / exact - 1,
          fast_math_sum(x.data(), x.size()) / exact - 1, (naive_sum(mixed) - exact_mixed) / sizes};
      for (size_t i = 0; i < keys.size(); ++i) squares[i] += errors[i] * errors[i] / draws;
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      const double error = std::sqrt(squares[i]);
      results.values[keys[i]][std::to_string(n)] = error;
      if (i >= names.size()) continue;  // mixed signs are not in the picture
      plot.lines[i].x.push_back(static_cast<double>(n));
      plot.lines[i].y.push_back(error);
    }
    half_step.x.push_back(static_cast<double>(n));
    half_step.y.push_back(std::ldexp(static_cast<double>(n), -24));
    fmt::print("{}: {:.1e} {:.1e} {:.1e} {:.1e}\n", n, plot.lines[0].y.back(), plot.lines[1].y.back(),
               plot.lines[2].y.back(), plot.lines[3].y.back());
  }
  plot.lines.push_back(half_step);
  results.figure("sums", plot);
  results.write();
}
