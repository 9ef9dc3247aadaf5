// Softmax, backward, on the reference backend: slopes first, then what must hold whatever the numbers are.
#include "docs/exercises/gradient.h"

using namespace chapbook;

TEST_CASE("dx is the slope") {
  check_gradients([](const std::vector<Variable>& x) { return softmax(x[0]); },
                  {{"x", some_numbers({5}, 1)}});
}

TEST_CASE("every row by itself") {
  check_gradients([](const std::vector<Variable>& x) { return softmax(x[0]); },
                  {{"x", some_numbers({2, 3, 4}, 2)}});
}

TEST_CASE("adding a number to a row changes nothing, so a row of dx adds up to 0") {
  const Tensor y = softmax(some_numbers({4, 7}, 1)), dx = softmax_backward(y, some_numbers({4, 7}, 3));
  for (const double total : sum(dx, {1}).to_vector<double>())
    if (!(std::abs(total) <= 1e-14)) FAIL(fmt::format("a row of dx adds up to {:.3g}", total));
}

TEST_CASE("the same wish for all numbers of a row is none: they add up to 1 already") {
  const Tensor y = softmax(some_numbers({4, 7}, 1)), dx = softmax_backward(y, y * 0 + 3);
  for (const double each : dx.to_vector<double>())
    if (!(std::abs(each) <= 1e-14)) FAIL(fmt::format("dy is 3 everywhere, and dx has a {:.3g} in it", each));
}
