// The bug that shows in rows of almost equal numbers only; then that nothing else was changed by mending it.
#include "docs/exercises/gradient.h"

using namespace chapbook;

static const double epsilon = 1e-5;

// Of a row whose mean is 5, weights 1: what stands in its last column, which is `above` over the mean.
static void check_last(const std::string& row, const std::vector<double>& numbers, double above,
                       double variance) {
  const Tensor x = Tensor::from(numbers, {1, 4}, backend("reference"));
  const Tensor weight = Tensor::full({4}, 1, DType::f64, backend("reference"));
  const double got = layer_norm(x, weight, {}, epsilon).y.to_vector<double>()[3],
               wanted = above / std::sqrt(variance + epsilon);
  if (!(std::abs(got - wanted) <= 1e-9 * std::abs(wanted)))
    FAIL(row, ": its last number becomes ", got, ", which is ", got / wanted, " times the right ", wanted);
}

TEST_CASE("rows of almost equal numbers stay small") {
  check_last("(4.999, 4.999, 4.999, 5.003)", {4.999, 4.999, 4.999, 5.003}, 0.003, 3e-6);
  check_last("four numbers 5, apart by a millionth", {5 - 1e-6, 5 - 1e-6, 5 - 1e-6, 5 + 3e-6}, 3e-6, 3e-12);
}

TEST_CASE("other rows are as large as they should be, epsilon counted") {
  check_last("(3, 4, 5, 8)", {3, 4, 5, 8}, 3, 3.5);
  check_last("(1, 1, 9, 9)", {1, 1, 9, 9}, 4, 16);
}

TEST_CASE("a row of equal numbers becomes 0") {
  const Tensor x = Tensor::full({1, 4}, 5, DType::f64, backend("reference"));
  const LayerNormed equal =
      layer_norm(x, Tensor::full({4}, 1, DType::f64, backend("reference")), {}, epsilon);
  for (const double number : equal.y.to_vector<double>()) CHECK(std::abs(number) <= 1e-12);
  CHECK(std::abs(equal.rstd.item() * std::sqrt(epsilon) - 1) <= 1e-12);
}
