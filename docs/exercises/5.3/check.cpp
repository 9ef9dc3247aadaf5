// The cpu backend's product at its edges, against sums in double.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"

using namespace chapbook;

static void check_product(int64_t m, int64_t n, int64_t k) {
  const auto numbers = [](int64_t count, int step) {
    std::vector<float> x(static_cast<size_t>(count));
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * step) % 17) - 8;
    return x;
  };
  const std::vector<float> a = numbers(m * k, 5), b = numbers(k * n, 7);
  Backend& cpu = backend("cpu");
  const Tensor y = Tensor::full({m, n}, 1000, DType::f32, cpu);  // what was there must not matter
  cpu.matmul(Tensor::from(a, {m, k}, cpu).view(), Tensor::from(b, {k, n}, cpu).view(), y.view(), {});
  const std::vector<float> got = y.to_vector<float>();
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += static_cast<double>(a[i * k + p]) * b[p * n + j];
      if (!(std::abs(got[i * n + j] - sum) <= 1e-2))  // sums of whole numbers: exact in f32
        FAIL(fmt::format("({}, {}) times ({}, {}): row {}, column {}, counted from 0, is {}; wanted is {}", m,
                         k, k, n, i, j, got[i * n + j], sum));
    }
}

TEST_CASE("whole tiles") { check_product(48, 64, 100); }
TEST_CASE("columns that no tile divides") { check_product(48, 77, 100); }
TEST_CASE("whole tiles, several stretches") { check_product(48, 64, 1300); }
TEST_CASE("columns that no tile divides, several stretches") { check_product(48, 77, 1300); }
