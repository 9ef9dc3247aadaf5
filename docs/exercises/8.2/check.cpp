// The rule of an MLP: each of its inputs against slopes.
#include "docs/exercises/gradient.h"

using namespace chapbook;

// Numbers between -1 and 1, where GELU bends most.
static Tensor around_zero(const Shape& shape, uint64_t seed) {
  return (some_numbers(shape, seed) - 1.25) * (4.0 / 3);
}

TEST_CASE("an MLP with biases and a residual: all six gradients are slopes") {
  check_gradients([](const std::vector<Variable>& x) { return mlp(x[0], x[1], x[2], x[3], x[4], x[5]); },
                  {{"x", around_zero({4, 3}, 1)},
                   {"W1", around_zero({3, 6}, 2)},
                   {"b1", around_zero({6}, 3)},
                   {"W2", around_zero({6, 3}, 4)},
                   {"b2", around_zero({3}, 5)},
                   {"the residual", around_zero({4, 3}, 6)}});
}

TEST_CASE("without biases and without a residual, on a batch of sequences") {
  check_gradients(
      [](const std::vector<Variable>& x) { return mlp(x[0], x[1], {}, x[2], {}, {}); },
      {{"x", around_zero({2, 3, 4}, 1)}, {"W1", around_zero({4, 5}, 2)}, {"W2", around_zero({5, 4}, 4)}});
}

TEST_CASE("x is the residual as well, as in a model without norms: both ways add up") {
  check_gradients(
      [](const std::vector<Variable>& x) { return mlp(x[0], x[1], {}, x[2], {}, x[0]); },
      {{"x", around_zero({4, 3}, 1)}, {"W1", around_zero({3, 6}, 2)}, {"W2", around_zero({6, 3}, 4)}});
}
