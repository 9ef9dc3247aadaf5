// The log of the sum of exps on the cpu backend, whose rows are taken in pieces of 2,048: x - log_softmax(x)
// is that log, the same in every place.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"

using namespace chapbook;

static void check_row(const std::string& what, const std::vector<float>& x) {
  double largest = -INFINITY, sum = 0;
  for (const float each : x) largest = std::max(largest, double{each});
  for (const float each : x) sum += std::exp(each - largest);
  const double wanted = largest + std::log(sum);
  const Tensor row = Tensor::from(x, {1, static_cast<int64_t>(x.size())}, backend("cpu"));
  const double got = double{x[0]} - log_softmax(row).to_vector<double>()[0];
  if (!(std::abs(got - wanted) <= 1e-5 * std::max(1.0, std::abs(wanted))))
    FAIL(fmt::format("{}: the log of the sum of exps is {:.7g}; wanted is {:.7g}", what, got, wanted));
}

// n scores around 0 that no piece shares with another, and `peak` at one place.
static std::vector<float> scores(int64_t n, int64_t where, float peak) {
  std::vector<float> x(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  if (where >= 0) x[where] = peak;
  return x;
}

TEST_CASE("one piece") {
  check_row("100 scores", scores(100, -1, 0));
  check_row("2,048 scores, the largest in the middle", scores(2048, 1000, 5));
}

TEST_CASE("several pieces, the largest score in the first") {
  check_row("6,000 scores", scores(6000, 10, 5));
}

TEST_CASE("several pieces, a larger score in a later one") {
  check_row("6,000 scores, the largest in the second piece", scores(6000, 3000, 5));
  check_row("6,000 scores, the largest at the end", scores(6000, 5999, 9));
}

TEST_CASE("scores that rise all the way") {
  std::vector<float> x(10000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0.01f;
  check_row("10,000 scores that rise", x);
}

TEST_CASE("a row that begins with minus infinity") {
  std::vector<float> x(5000, -INFINITY);
  x[4000] = 1, x[4001] = 2;
  x[0] = 0;  // where the test reads the log
  check_row("mostly minus infinity", x);
}
