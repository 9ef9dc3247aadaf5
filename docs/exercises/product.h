// A product against sums in double, for exercises that write one.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace chapbook {

// compute(a, b) gives the m n numbers of a b, for a (m, k) and b (k, n).
template <class Compute>
void check_product(int64_t m, int64_t n, int64_t k, Compute compute) {
  const auto numbers = [](int64_t count, int step) {
    std::vector<float> x(static_cast<size_t>(count));
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * step) % 17) - 8;
    return x;
  };
  const std::vector<float> a = numbers(m * k, 5), b = numbers(k * n, 7), y = compute(a, b);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += static_cast<double>(a[i * k + p]) * b[p * n + j];
      if (!(std::abs(y[i * n + j] - sum) <= 1e-3))  // sums of whole numbers: exact in f32
        FAIL(fmt::format("({}, {}) times ({}, {}): row {}, column {}, counted from 0, is {}; wanted is {}", m,
                         k, k, n, i, j, y[i * n + j], sum));
    }
}

}  // namespace chapbook
