// The rules of a quotient.
#include "docs/exercises/gradient.h"

using namespace chapbook;

TEST_CASE("z = a / b, and the gradients of a and b are slopes of it") {
  check_gradients([](const std::vector<Variable>& x) { return x[0] / x[1]; },
                  {{"a", some_numbers({3, 4}, 1)}, {"b", some_numbers({3, 4}, 2)}});
}

TEST_CASE("numbers below zero") {
  check_gradients([](const std::vector<Variable>& x) { return x[0] / x[1]; },
                  {{"a", -some_numbers({3, 4}, 1)}, {"b", -some_numbers({3, 4}, 2)}});
}

TEST_CASE("one of the two may be stretched, on either side") {
  check_gradients([](const std::vector<Variable>& x) { return x[0] / x[1]; },
                  {{"a", some_numbers({3, 4}, 1)}, {"b", some_numbers({4}, 2)}});
  check_gradients([](const std::vector<Variable>& x) { return x[0] / x[1]; },
                  {{"a", some_numbers({3, 1}, 1)}, {"b", some_numbers({3, 4}, 2)}});
}

TEST_CASE("x / x is 1 whatever x, so nothing arrives at x") {
  const Variable x = Variable::parameter(some_numbers({5}, 1));
  backward(sum(x / x));
  for (double slope : x.gradient().to_vector<double>()) CHECK(std::abs(slope) <= 1e-15);
}
