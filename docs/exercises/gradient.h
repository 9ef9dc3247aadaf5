// What checks of gradients share: an op's rules against the slope of its value, in f64 and on the reference
// backend, with words that say which input and which number is wrong.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tests/support/show.h"

namespace chapbook {

struct Input {
  std::string name;
  Tensor value;
};

// Numbers between 0.5 and 2, so that a division by them is harmless: the same in every run.
inline Tensor some_numbers(const Shape& shape, uint64_t seed) {
  Random random{seed};
  return uniform(shape, random, DType::f64, backend("reference")) * 1.5 + 0.5;
}

// (f(x + h) - f(x - h)) / 2h is off by h^2 / 6 times the third derivative and by the rounding of f over h:
// 1e-9 or so for h = 1e-5. A rule that is right is ten times nearer than 1e-7, one that is wrong nowhere
// near.
inline void check_gradients(const std::function<Variable(const std::vector<Variable>&)>& f,
                            const std::vector<Input>& inputs) {
  std::vector<Variable> x;
  for (const Input& input : inputs) x.push_back(Variable::parameter(input.value.contiguous_copy()));
  const Variable y = f(x);
  const Tensor dy = some_numbers(y.shape(), 99);
  backward(y, dy);
  const auto value = [&] {
    NoGrad no_grad;
    return sum(f(x).value() * dy).item();
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string which = "the gradient of " + inputs[i].name + " " + inputs[i].value.shape().to_string();
    if (!x[i].gradient()) {
      FAIL_CHECK(which, " does not arrive");
      continue;
    }
    const std::vector<double> gradient = x[i].gradient().to_vector<double>();
    auto* numbers = x[i].value().view().as<double>();
    double distance = 0, length = 0, worst = -1;
    size_t where = 0;
    std::vector<double> slopes;
    for (size_t j = 0; j < gradient.size(); ++j) {
      const double h = 1e-5, here = numbers[j];
      numbers[j] = here + h;
      const double above = value();
      numbers[j] = here - h;
      slopes.push_back((above - value()) / (2 * h));
      numbers[j] = here;
      const double off = std::abs(gradient[j] - slopes[j]);
      distance += off * off;
      length += slopes[j] * slopes[j];
      if (!(off <= worst)) worst = off, where = j;
    }
    const double error = std::sqrt(distance / length);
    if (!(error <= 1e-7))
      FAIL_CHECK(which, " has a relative error of ", error, "; number ", where, ", counted from 0, is ",
                 gradient[where], ", and the slope there is ", slopes[where]);
  }
}

}  // namespace chapbook
