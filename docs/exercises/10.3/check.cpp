// Attention whose scores are all moved by the same: nothing but log_sum may change.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"

using namespace chapbook;

// One query over two keys with these two scores; the values are 0 and 1, so that y is the second weight.
static void check_scores(double first, double second) {
  Backend& reference = backend("reference");
  const Tensor q = Tensor::from(std::vector<double>{1}, {1, 1, 1, 1}, reference),
               k = Tensor::from(std::vector<double>{first, second}, {1, 1, 2, 1}, reference),
               v = Tensor::from(std::vector<double>{0, 1}, {1, 1, 2, 1}, reference);
  const Attended got = attention(q, k, v, 1);
  const double weight = 1 / (1 + std::exp(first - second)), y = got.y.item(), log_sum = got.log_sum.item(),
               wanted = first + std::log1p(std::exp(second - first));
  if (!(std::abs(y - weight) <= 1e-9))
    FAIL(fmt::format("scores {} and {}: the second weight is {:.6g}; wanted is {:.6g}", first, second, y,
                     weight));
  if (!(std::abs(log_sum - wanted) <= 1e-9))
    FAIL(fmt::format("scores {} and {}: log_sum is {:.10g}; wanted is {:.10g}", first, second, log_sum,
                     wanted));
}

TEST_CASE("scores around 0") { check_scores(1, -1); }
TEST_CASE("scores far above 0") { check_scores(2000, 2001); }
TEST_CASE("scores far below 0") {
  check_scores(-2000, -2001);
  check_scores(-1e6, -1e6 + 2);
}
