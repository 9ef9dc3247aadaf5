// Rung 5, whose kernel is the reader's, against sums in double.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "bench/ladder/matmul.h"

using namespace chapbook;

static void check_product(int64_t m, int64_t n, int64_t k) {
  const auto numbers = [](int64_t count, int step) {
    std::vector<float> x(static_cast<size_t>(count));
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * step) % 17) - 8;
    return x;
  };
  const std::vector<float> a = numbers(m * k, 5), b = numbers(k * n, 7);
  std::vector<float> y(static_cast<size_t>(m * n), NAN);
  ladder::matmul_register_tile(m, n, k, a.data(), b.data(), y.data());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += static_cast<double>(a[i * k + p]) * b[p * n + j];
      if (!(std::abs(y[i * n + j] - sum) <= 1e-3))  // sums of whole numbers: exact in f32
        FAIL(fmt::format("({}, {}) times ({}, {}): row {}, column {}, counted from 0, is {}; wanted is {}", m,
                         k, k, n, i, j, y[i * n + j], sum));
    }
}

TEST_CASE("one product for each number of a tile") { check_product(4, 32, 1); }
TEST_CASE("a whole tile") { check_product(4, 32, 9); }
TEST_CASE("several tiles, one after the other") { check_product(12, 96, 20); }
TEST_CASE("sizes that no tile divides") { check_product(7, 45, 33); }
TEST_CASE("more than one block of k") { check_product(5, 33, 800); }
