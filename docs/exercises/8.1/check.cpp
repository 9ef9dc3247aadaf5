// The gradients of a linear layer's weight and bias.
#include <fmt/format.h>

#include "docs/exercises/gradient.h"

using namespace chapbook;

static Variable three(const std::vector<Variable>& x) { return linear(x[0], x[1], x[2], {}); }

TEST_CASE("rows of numbers: dW and db are slopes") {
  check_gradients(three, {{"x", some_numbers({4, 5}, 1)},
                          {"the weight", some_numbers({5, 3}, 2)},
                          {"the bias", some_numbers({3}, 3)}});
}

TEST_CASE("a batch of sequences: all of its rows count") {
  check_gradients(three, {{"x", some_numbers({2, 3, 5}, 1)},
                          {"the weight", some_numbers({5, 4}, 2)},
                          {"the bias", some_numbers({4}, 3)}});
}

TEST_CASE("without a bias") {
  check_gradients([](const std::vector<Variable>& x) { return linear(x[0], x[1], {}, {}); },
                  {{"x", some_numbers({4, 5}, 1)}, {"the weight", some_numbers({5, 3}, 2)}});
}

TEST_CASE("x is bf16, the parameters are f32: so are their gradients") {
  const Variable x(some_numbers({4, 5}, 1).to(DType::bf16)),
      weight = Variable::parameter(some_numbers({5, 3}, 2).to(DType::f32)),
      bias = Variable::parameter(some_numbers({3}, 3).to(DType::f32));
  const Variable y = linear(x, weight, bias, {});
  backward(y, some_numbers(y.shape(), 4).to(DType::bf16));
  for (const auto& [name, parameter] : {std::pair{"weight", weight}, {"bias", bias}})
    if (const DType got = parameter.gradient().dtype(); got != DType::f32)
      FAIL(fmt::format("the gradient of the {} is {}; wanted is f32, the dtype given", name, name_of(got)));
}
