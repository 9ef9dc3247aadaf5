// The rule of tanh.
#include "docs/exercises/gradient.h"

using namespace chapbook;

TEST_CASE("the gradient of x is the slope of tanh, times dy") {
  check_gradients([](const std::vector<Variable>& x) { return tanh(x[0]); },
                  {{"x", some_numbers({3, 4}, 1) - 1.25}});
}

TEST_CASE("where tanh is flat, hardly anything comes back") {
  const Variable x = Variable::parameter(Tensor::full({2}, 20, DType::f64, backend("reference")));
  const Variable y = tanh(x);
  backward(y, some_numbers({2}, 1));
  for (const double each : x.gradient().to_vector<double>()) CHECK(std::abs(each) <= 1e-12);
}
