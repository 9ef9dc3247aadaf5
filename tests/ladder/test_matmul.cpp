// Every rung of the ladder against sums in double, at sizes that no block or tile divides; between them lie
// all the edges: one number, one row, one column, nothing to sum, more than one block of each kind.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "bench/ladder/matmul.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/dtype.h"
#include "tensor/random.h"

using namespace chapbook;

namespace {

struct Size {
  int64_t m, n, k;
};

constexpr Size sizes[] = {{1, 1, 1},      {1, 65, 33},     {65, 1, 31},     {2, 3, 0},      {31, 31, 31},
                          {33, 33, 33},   {63, 63, 63},    {65, 65, 65},    {100, 37, 129}, {12, 32, 384},
                          {145, 64, 385}, {289, 129, 300}, {300, 1100, 97}, {17, 1030, 781}};

std::vector<float> numbers(int64_t count, Random& random) {
  std::vector<float> x(count);
  for (float& number : x) number = static_cast<float>(2 * random.uniform() - 1);
  return x;
}

std::vector<float> product(const Size& size, ladder::Matmul multiply, const std::vector<float>& a,
                           const std::vector<float>& b) {
  // What is there before must not matter, and what lies behind must stay.
  std::vector<float> y(size.m * size.n + 64, std::numeric_limits<float>::quiet_NaN());
  std::fill(y.end() - 64, y.end(), 7.0f);
  multiply(size.m, size.n, size.k, a.data(), b.data(), y.data());
  CHECK(std::all_of(y.end() - 64, y.end(), [](float x) { return x == 7.0f; }));
  y.resize(size.m * size.n);
  return y;
}

}  // namespace

TEST_CASE("every rung multiplies") {
  Random random{1};
  for (const Size& size : sizes) {
    const std::vector<float> a = numbers(size.m * size.k, random), b = numbers(size.k * size.n, random);
    std::vector<ladder::Rung> rungs(ladder::matmul_rungs().begin(), ladder::matmul_rungs().end());
    std::vector<float> half_a = a, half_b = b;  // rounded to bf16
    for (std::vector<float>* x : {&half_a, &half_b})
      for (float& number : *x) number = static_cast<float>(bf16(number));
    for (const ladder::RungOfHalves& rung : ladder::matmul_rungs_of_halves()) rungs.push_back(rung);
    for (const ladder::Rung& rung : rungs) {
      const bool halves = &rung - rungs.data() >= static_cast<int64_t>(ladder::matmul_rungs().size());
      CAPTURE(rung.name);
      CAPTURE(size.m);
      CAPTURE(size.n);
      CAPTURE(size.k);
      const std::vector<float> y = product(size, rung.multiply, a, b);
      double worst = 0;
      for (int64_t i = 0; i < size.m; ++i)
        for (int64_t j = 0; j < size.n; ++j) {
          double sum = 0;
          for (int64_t p = 0; p < size.k; ++p)
            sum += static_cast<double>((halves ? half_a : a)[i * size.k + p]) *
                   (halves ? half_b : b)[p * size.n + j];
          const double error = std::abs(y[i * size.n + j] - sum);
          if (!(error <= worst)) worst = error;
        }
      // k additions in any order, of products up to 1 whose sums stay below k.
      const double k = static_cast<double>(size.k);
      CHECK(worst <= k * 0.5 * std::numeric_limits<float>::epsilon() * std::max(1.0, std::sqrt(k)));
    }
  }
}

TEST_CASE("threads change no bit") {
  const Size size{300, 1100, 500};
  Random random{2};
  const std::vector<float> a = numbers(size.m * size.k, random), b = numbers(size.k * size.n, random);
  const std::vector<float> expected = product(size, ladder::matmul_vectors, a, b);
  const int before = thread_pool().threads();
  for (const int threads : {1, 2, 3}) {
    thread_pool().set_threads(threads);
    const std::vector<float> y = product(size, ladder::matmul_threads, a, b);
    CHECK(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0);
  }
  thread_pool().set_threads(before);
}
