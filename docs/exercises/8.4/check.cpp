// Dropout: how much is dropped, what is left, and where the gradient goes.
#include <fmt/format.h>

#include "docs/exercises/gradient.h"

using namespace chapbook;

static std::vector<double> dropped(double p) {
  Random random{1};
  const Variable x(Tensor::full({100, 100}, 3, DType::f64, backend("reference")));
  return dropout(x, p, random).value().to_vector<double>();
}

TEST_CASE("a share p of the numbers becomes 0") {
  for (const double p : {0.1, 0.5, 0.8}) {
    double zeros = 0;
    for (const double each : dropped(p)) zeros += each == 0;
    // Of 10,000 the share is off by 0.005 or less, two times in three, and never by 0.03.
    if (!(std::abs(zeros / 1e4 - p) <= 0.03))
      FAIL(fmt::format("with p = {}, a share of {:.3f} has become 0", p, zeros / 1e4));
  }
}

TEST_CASE("what is left is divided by 1 - p, so that the mean stays") {
  for (const double p : {0.1, 0.5, 0.8})
    for (const double each : dropped(p))
      if (each != 0 && !(std::abs(each - 3 / (1 - p)) <= 1e-12))
        FAIL(fmt::format("with p = {}, a 3 that stays becomes {:.6g}; wanted is {:.6g}", p, each,
                         3 / (1 - p)));
}

TEST_CASE("the gradient goes where the number stayed, scaled alike") {
  check_gradients(
      [](const std::vector<Variable>& x) {
        Random same{2};
        return dropout(x[0], 0.25, same);
      },
      {{"x", some_numbers({6, 7}, 1)}});
}

TEST_CASE("the same place in the stream of random numbers gives the same mask") {
  Random a{3}, b{3};
  const Variable x(some_numbers({5, 5}, 1));
  CHECK(dropout(x, 0.5, a).value().to_vector<double>() == dropout(x, 0.5, b).value().to_vector<double>());
}
