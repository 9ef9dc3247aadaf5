// Layer norm, forward, on the reference backend.
#include "docs/exercises/gradient.h"

using namespace chapbook;

static const double epsilon = 1e-5;

static std::vector<double> normed(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return layer_norm(x, weight, bias, epsilon).y.to_vector<double>();
}
static Tensor tensor(const std::vector<double>& numbers, const Shape& shape) {
  return Tensor::from(numbers, shape, backend("reference"));
}
static Tensor filled(const Shape& shape, double value) {
  return Tensor::full(shape, value, DType::f64, backend("reference"));
}

static void check_number(const std::string& what, double got, double wanted, double tolerance) {
  if (!(std::abs(got - wanted) <= tolerance))
    FAIL(fmt::format("{} is {:.15g}; wanted is {:.15g}", what, got, wanted));
}

TEST_CASE("the row (1, 2, 3, 6): mean 3, variance 3.5") {
  const Tensor x = tensor({1, 2, 3, 6}, {1, 4});
  const std::vector<double> y = normed(x, filled({4}, 1), filled({4}, 0));
  const double deviation = std::sqrt(3.5 + epsilon);
  const double wanted[] = {-2 / deviation, -1 / deviation, 0, 3 / deviation};
  for (int j = 0; j < 4; ++j) check_number(fmt::format("y(0, {})", j), y[j], wanted[j], 1e-14);
}

TEST_CASE("every row has mean 0 and variance 1, each for itself") {
  const std::vector<double> y =
      normed(some_numbers({5, 300}, 1) * 100 + 7, filled({300}, 1), filled({300}, 0));
  for (int i = 0; i < 5; ++i) {
    double mean = 0, variance = 0;
    for (int j = 0; j < 300; ++j) mean += y[i * 300 + j] / 300;
    for (int j = 0; j < 300; ++j) variance += (y[i * 300 + j] - mean) * (y[i * 300 + j] - mean) / 300;
    check_number(fmt::format("the mean of row {} of y", i), mean, 0, 1e-13);
    check_number(fmt::format("the variance of row {} of y", i), variance, 1, 1e-7);  // epsilon over 1,900
  }
}

TEST_CASE("weight and bias are one number for each column; the bias may be missing") {
  const Tensor x = some_numbers({2, 3}, 1), weight = tensor({2, -1, 0.5}, {3}),
               bias = tensor({10, 20, 30}, {3});
  const std::vector<double> plain = normed(x, filled({3}, 1), {}), both = normed(x, weight, bias),
                            weighted = normed(x, weight, {});
  for (int i = 0; i < 6; ++i) {
    const double w = weight.to_vector<double>()[i % 3], b = bias.to_vector<double>()[i % 3];
    const std::string y = fmt::format("y({}, {})", i / 3, i % 3);
    check_number(y + ", without a bias,", weighted[i], w * plain[i], 1e-14);
    check_number(y, both[i], w * plain[i] + b, 1e-13);
  }
}

TEST_CASE("mean and rstd, 1 over the deviation, are kept for each row") {
  const LayerNormed kept = layer_norm(tensor({1, 2, 3, 6, 5, 5, 5, 5}, {2, 4}), filled({4}, 1), {}, epsilon);
  const std::vector<double> mean = kept.mean.to_vector<double>(), rstd = kept.rstd.to_vector<double>();
  check_number("mean(0)", mean[0], 3, 1e-13);
  check_number("mean(1)", mean[1], 5, 1e-13);
  check_number("rstd(0)", rstd[0], 1 / std::sqrt(3.5 + epsilon), 1e-14);
}

TEST_CASE("epsilon joins the variance, so that rows of almost equal numbers stay small") {
  const Tensor x = tensor({5, 5, 5, 5.001}, {1, 4});
  const double variance = 3.0 / 16 * 1e-6;
  const std::vector<double> y = normed(x, filled({4}, 1), {});
  check_number("y(0, 3)", y[3], 0.00075 / std::sqrt(variance + epsilon), 1e-9);
  const LayerNormed equal = layer_norm(filled({1, 4}, 5), filled({4}, 1), {}, epsilon);
  check_number("rstd of equal numbers", equal.rstd.item(), 1 / std::sqrt(epsilon), 1e-9);
}

TEST_CASE("far from zero: the variance is of differences, not a difference of squares") {
  const Tensor x = tensor({1e8 + 1, 1e8 + 2, 1e8 + 3, 1e8 + 6}, {1, 4});
  const std::vector<double> y = normed(x, filled({4}, 1), {});
  check_number("y(0, 3)", y[3], 3 / std::sqrt(3.5 + epsilon), 1e-9);
}
