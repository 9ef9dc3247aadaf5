// SGD's step with decay and a scale: which of the two touches what.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "autograd/ops.h"
#include "optim/optimizer.h"
#include "tensor/ops.h"

using namespace chapbook;

// A weight of 2 after one step of rate 0.5.
static double after_step(double gradient, double decay, double scale) {
  const auto number = [](double x) { return Tensor::full({1, 1}, x, DType::f64, backend("reference")); };
  const Variable weight = Variable::parameter(number(2));
  SGD optimizer({{"weight", weight}}, {.momentum = 0.9, .decay = decay});
  backward(weight * 1.0, number(gradient));
  optimizer.step(0.5, Tensor::full({}, scale, DType::f64, backend("reference")));
  return weight.value().item();
}

static void check_step(double gradient, double decay, double scale) {
  const double got = after_step(gradient, decay, scale), wanted = 2 - 0.5 * (gradient * scale + decay * 2);
  if (!(std::abs(got - wanted) <= 1e-14))
    FAIL(fmt::format(
        "a weight of 2, a rate of 0.5, a gradient of {} at a scale of {}, a decay of {}: the weight "
        "becomes {:.6g}; wanted is {:.6g}",
        gradient, scale, decay, got, wanted));
}

TEST_CASE("without decay, the weight moves by rate * scale * gradient") {
  check_step(4, 0, 1);
  check_step(4, 0, 0.25);
}

TEST_CASE("decay adds decay * weight to the gradient") { check_step(4, 0.1, 1); }

TEST_CASE("the scale shortens the gradient of the loss, and not the decay") {
  check_step(4, 0.1, 0.25);
  check_step(0, 0.1, 0.25);
}

TEST_CASE("the second step goes on with momentum of the first") {
  const auto number = [](double x) { return Tensor::full({1, 1}, x, DType::f64, backend("reference")); };
  const Variable weight = Variable::parameter(number(2));
  SGD optimizer({{"weight", weight}}, {.momentum = 0.9});
  for (int step = 0; step < 2; ++step) {
    backward(weight * 1.0, number(4));
    optimizer.step(0.5);
    optimizer.clear_gradients();
  }
  const double wanted = 2 - 0.5 * 4 - 0.5 * (0.9 * 4 + 4), got = weight.value().item();
  if (!(std::abs(got - wanted) <= 1e-14))
    FAIL(fmt::format("after two gradients of 4 with momentum 0.9 the weight is {}; wanted is {}", got,
                     wanted));
}
