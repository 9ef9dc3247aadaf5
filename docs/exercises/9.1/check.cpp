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

TEST_CASE("the row (1, 2, 3, 6): mean 3, variance 3.5") {
  const Tensor x = tensor({1, 2, 3, 6}, {1, 4});
  const std::vector<double> y = normed(x, filled({4}, 1), filled({4}, 0));
  const double deviation = std::sqrt(3.5 + epsilon);
  const double wanted[] = {-2 / deviation, -1 / deviation, 0, 3 / deviation};
  for (int j = 0; j < 4; ++j) {
    CAPTURE(j);
    CHECK(std::abs(y[j] - wanted[j]) <= 1e-14);
  }
}

TEST_CASE("every row has mean 0 and variance 1, each for itself") {
  const std::vector<double> y =
      normed(some_numbers({5, 300}, 1) * 100 + 7, filled({300}, 1), filled({300}, 0));
  for (int i = 0; i < 5; ++i) {
    double mean = 0, variance = 0;
    for (int j = 0; j < 300; ++j) mean += y[i * 300 + j] / 300;
    for (int j = 0; j < 300; ++j) variance += (y[i * 300 + j] - mean) * (y[i * 300 + j] - mean) / 300;
    CAPTURE(i);
    CHECK(std::abs(mean) <= 1e-13);
    CHECK(std::abs(variance - 1) <= 1e-7);  // epsilon over a variance of 1,900
  }
}

TEST_CASE("weight and bias are one number for each column; the bias may be missing") {
  const Tensor x = some_numbers({2, 3}, 1), weight = tensor({2, -1, 0.5}, {3}),
               bias = tensor({10, 20, 30}, {3});
  const std::vector<double> plain = normed(x, filled({3}, 1), {}), both = normed(x, weight, bias),
                            weighted = normed(x, weight, {});
  for (int i = 0; i < 6; ++i) {
    const double w = weight.to_vector<double>()[i % 3], b = bias.to_vector<double>()[i % 3];
    CAPTURE(i);
    CHECK(std::abs(weighted[i] - w * plain[i]) <= 1e-14);
    CHECK(std::abs(both[i] - (w * plain[i] + b)) <= 1e-13);
  }
}

TEST_CASE("mean and rstd, 1 over the deviation, are kept for each row") {
  const LayerNormed kept = layer_norm(tensor({1, 2, 3, 6, 5, 5, 5, 5}, {2, 4}), filled({4}, 1), {}, epsilon);
  const std::vector<double> mean = kept.mean.to_vector<double>(), rstd = kept.rstd.to_vector<double>();
  CHECK(mean[0] == doctest::Approx(3).epsilon(1e-14));
  CHECK(mean[1] == doctest::Approx(5).epsilon(1e-14));
  CHECK(rstd[0] == doctest::Approx(1 / std::sqrt(3.5 + epsilon)).epsilon(1e-14));
}

TEST_CASE("epsilon joins the variance, so that rows of almost equal numbers stay small") {
  const Tensor x = tensor({5, 5, 5, 5.001}, {1, 4});
  const double variance = 3.0 / 16 * 1e-6;
  const std::vector<double> y = normed(x, filled({4}, 1), {});
  CHECK(y[3] == doctest::Approx(0.00075 / std::sqrt(variance + epsilon)).epsilon(1e-9));
  const LayerNormed equal = layer_norm(filled({1, 4}, 5), filled({4}, 1), {}, epsilon);
  CHECK(equal.rstd.item() == doctest::Approx(1 / std::sqrt(epsilon)).epsilon(1e-12));
}

TEST_CASE("far from zero: the variance is of differences, not a difference of squares") {
  const Tensor x = tensor({1e8 + 1, 1e8 + 2, 1e8 + 3, 1e8 + 6}, {1, 4});
  const std::vector<double> y = normed(x, filled({4}, 1), {});
  CHECK(y[3] == doctest::Approx(3 / std::sqrt(3.5 + epsilon)).epsilon(1e-9));
}
