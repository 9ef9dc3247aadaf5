// Two operands on the cpu backend, against numbers made by hand, for every pattern of strides.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"

using namespace chapbook;

static Tensor numbers(const Shape& shape, float first) {
  std::vector<float> x(static_cast<size_t>(shape.count()));
  for (size_t i = 0; i < x.size(); ++i) x[i] = first + static_cast<float>(i);
  return Tensor::from(x, shape, backend("cpu"));
}

static void check_op(const char* sign, Tensor (*op)(const Tensor&, const Tensor&), float (*one)(float, float),
                     const Tensor& a, const Tensor& b) {
  const Shape shape = broadcast(a.shape(), b.shape(), "check");
  const std::vector<float> x = a.broadcast_to(shape).to_vector<float>(),
                           z = b.broadcast_to(shape).to_vector<float>(), y = op(a, b).to_vector<float>();
  for (size_t i = 0; i < y.size(); ++i)
    if (!(std::abs(y[i] - one(x[i], z[i])) <= 1e-5f))
      FAIL(fmt::format("{} {} {}: number {} is {} {} {} = {}; wanted is {}", a.shape().to_string(), sign,
                       b.shape().to_string(), i, x[i], sign, z[i], y[i], one(x[i], z[i])));
}

static void check_all(const Tensor& a, const Tensor& b) {
  check_op(
      "+", [](const Tensor& p, const Tensor& q) { return p + q; }, [](float p, float q) { return p + q; }, a,
      b);
  check_op(
      "*", [](const Tensor& p, const Tensor& q) { return p * q; }, [](float p, float q) { return p * q; }, a,
      b);
  check_op(
      "-", [](const Tensor& p, const Tensor& q) { return p - q; }, [](float p, float q) { return p - q; }, a,
      b);
  check_op(
      "/", [](const Tensor& p, const Tensor& q) { return p / q; }, [](float p, float q) { return p / q; }, a,
      b);
}

TEST_CASE("equal shapes") { check_all(numbers({2, 3}, 1), numbers({2, 3}, 10)); }
TEST_CASE("the right operand is stretched along the rows") {
  check_all(numbers({2, 3}, 1), numbers({2, 1}, 10));
}
TEST_CASE("the left operand is stretched along the rows") {
  check_all(numbers({2, 1}, 1), numbers({2, 3}, 10));
}
TEST_CASE("a row is stretched to all rows") {
  check_all(numbers({3}, 1), numbers({2, 3}, 10));
  check_all(numbers({2, 3}, 1), numbers({3}, 10));
}
TEST_CASE("one of them is transposed") {
  check_all(numbers({2, 3}, 1), numbers({3, 2}, 10).transpose(0, 1));
  check_all(numbers({3, 2}, 1).transpose(0, 1), numbers({2, 3}, 10));
}
