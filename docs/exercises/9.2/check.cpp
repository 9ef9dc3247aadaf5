// Layer norm, backward, on the reference backend: slopes first, then what must hold whatever the numbers are.
#include "docs/exercises/gradient.h"

using namespace chapbook;

TEST_CASE("dx, dweight and dbias are slopes") {
  check_gradients(
      [](const std::vector<Variable>& x) { return layer_norm(x[0], x[1], x[2], 1e-2); },
      {{"x", some_numbers({3, 5}, 1)}, {"weight", some_numbers({5}, 2)}, {"bias", some_numbers({5}, 3)}});
}

TEST_CASE("without a bias") {
  check_gradients([](const std::vector<Variable>& x) { return layer_norm(x[0], x[1], {}, 1e-2); },
                  {{"x", some_numbers({3, 5}, 1)}, {"weight", some_numbers({5}, 2)}});
}

TEST_CASE("adding a number to a row changes nothing, so a row of dx adds up to 0") {
  const Variable x = Variable::parameter(some_numbers({4, 7}, 1)), weight(some_numbers({7}, 2));
  const Variable y = layer_norm(x, weight, {}, 1e-5);
  backward(y, some_numbers(y.shape(), 3));
  for (double total : sum(x.gradient(), {1}).to_vector<double>()) CHECK(std::abs(total) <= 1e-13);
}

TEST_CASE("making a row longer changes nothing without epsilon, so dx is at right angles to x") {
  const Variable x = Variable::parameter(some_numbers({4, 7}, 1)), weight(some_numbers({7}, 2));
  const Variable y = layer_norm(x, weight, {}, 0);
  backward(y, some_numbers(y.shape(), 3));
  for (double total : sum(x.gradient() * x.value(), {1}).to_vector<double>()) CHECK(std::abs(total) <= 1e-13);
}

TEST_CASE("the bias is added to every row, so dbias is the sum of dy over rows") {
  const Variable x(some_numbers({4, 3}, 1)), weight(some_numbers({3}, 2));
  const Variable bias = Variable::parameter(some_numbers({3}, 4));
  const Tensor dy = some_numbers({4, 3}, 5);
  backward(layer_norm(x, weight, bias, 1e-5), dy);
  const std::vector<double> got = bias.gradient().to_vector<double>(),
                            wanted = sum(dy, {0}).to_vector<double>();
  for (size_t j = 0; j < 3; ++j) CHECK(std::abs(got[j] - wanted[j]) <= 1e-14);
}
