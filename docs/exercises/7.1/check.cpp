// The rules of a product.
#include "docs/exercises/gradient.h"

using namespace chapbook;

TEST_CASE("z = a b, and the gradients of a and b are slopes of it") {
  check_gradients([](const std::vector<Variable>& x) { return x[0] * x[1]; },
                  {{"a", some_numbers({3, 4}, 1)}, {"b", some_numbers({3, 4}, 2)}});
}

TEST_CASE("one of the two may be stretched, on either side") {
  check_gradients([](const std::vector<Variable>& x) { return x[0] * x[1]; },
                  {{"a", some_numbers({3, 4}, 1)}, {"b", some_numbers({4}, 2)}});
  check_gradients([](const std::vector<Variable>& x) { return x[0] * x[1]; },
                  {{"a", some_numbers({3, 1}, 1)}, {"b", some_numbers({3, 4}, 2)}});
}

TEST_CASE("x x has the gradient 2 x dy") {
  check_gradients([](const std::vector<Variable>& x) { return x[0] * x[0]; }, {{"x", some_numbers({5}, 1)}});
}
