// Times single matrix products y = a b for rivals/products.py: a line on standard input names one, a line on
// standard output answers with the seconds of the fastest and of the middle try.
//   LAYOUT PRECISION M N K TRIES       for example: nt bf16 2048 384 1536 20
// LAYOUT says how a (m, k) and b (k, n) lie in memory: n row by row, t column by column.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "tensor/cpu/gemm.h"
#include "tensor/ops.h"
#include "tensor/random.h"

using namespace chapbook;

static Tensor random_matrix(int64_t rows, int64_t columns, bool by_column, DType dtype) {
  Random random{1};
  const Tensor x = normal(by_column ? Shape{columns, rows} : Shape{rows, columns}, random, dtype);
  return by_column ? x.transpose(0, 1) : x;
}

int main() try {
  fmt::print("{}\n", cpu::describe_gemm_vectors());
  std::fflush(stdout);
  std::string layout, precision;
  int64_t m = 0, n = 0, k = 0, tries = 0;
  while (std::cin >> layout >> precision >> m >> n >> k >> tries) {
    check(layout.size() == 2 && m > 0 && n > 0 && k > 0 && tries > 0, "'{} {} {} {} {} {}' is no product",
          layout, precision, m, n, k, tries);
    const DType dtype = precision == "bf16" ? DType::bf16 : DType::f32;
    const Tensor a = random_matrix(m, k, layout[0] == 't', dtype),
                 b = random_matrix(k, n, layout[1] == 't', dtype);
    const Tensor y = Tensor::empty({m, n}, dtype);
    std::vector<double> seconds;
    for (int64_t i = -3; i < tries; ++i) {
      const auto start = std::chrono::steady_clock::now();
      y.backend().matmul(a.view(), b.view(), y.view(), {});
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      if (i >= 0) seconds.push_back(took.count());
    }
    std::ranges::sort(seconds);
    fmt::print("{} {}\n", seconds.front(), seconds[seconds.size() / 2]);
    std::fflush(stdout);
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
