// Mixed precision: hidden states of a half type with parameters of f32. Values and gradients against the
// reference in f64, which dtype each gradient has, and that a weight's gradient is never rounded to the half
// type.
#include <doctest/doctest.h>

#include "tests/support/run_case.h"

namespace chapbook {

// An op whose first input is a hidden state; the others are parameters.
struct MixedCase {
  std::string name;
  std::vector<Shape> shapes;
  std::function<Variable(const Variables& x)> f;
  double weights;  // relative error allowed to the parameters' gradients
};

static Tensor targets_of(const Variable& x, const Variable& table) {
  const Shape shape = x.shape().without(-1);
  std::vector<int32_t> ids(shape.count());
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = i % 4 == 1 ? -100 : static_cast<int32_t>((i * i + 3) % table.size(0));
  return Tensor::from(ids, shape, x.value().backend());
}

// What a gradient starts from that has been rounded to the half type on the way, once or a few times.
static double after_rounding(DType half) { return tolerance(half); }

static std::vector<MixedCase> mixed_cases(DType half) {
  // x^T dy of numbers that the half type holds: only f32's rounding is left.
  const double exact = tolerance(DType::f32), rounded = after_rounding(half);
  return {
      {"linear",
       {{2, 33, 31}, {31, 65}, {65}},
       [](const Variables& x) { return linear(x[0], x[1], x[2]); },
       exact},
      {"linear without bias",
       {{70, 31}, {31, 33}},
       [](const Variables& x) { return linear(x[0], x[1], {}); },
       exact},
      {"linear on the transpose",
       {{70, 31}, {33, 31}},
       [](const Variables& x) { return linear(x[0], transpose(x[1], 0, 1), {}); },
       exact},
      {"mlp",
       {{70, 31}, {31, 65}, {65}, {65, 31}, {31}},
       [](const Variables& x) { return mlp(x[0], x[1], x[2], x[3], x[4], x[0]); },
       rounded},
      {"linear_cross_entropy",
       {{70, 31}, {65, 31}},
       [](const Variables& x) {
         return linear_cross_entropy(x[0], x[1], targets_of(x[0], x[1]), {.smoothing = 0.1});
       },
       rounded},
      {"linear_cross_entropy of many rows",
       {{1100, 3}, {257, 3}},
       [](const Variables& x) { return linear_cross_entropy(x[0], x[1], targets_of(x[0], x[1])); },
       rounded},
      {"layer_norm",
       {{70, 65}, {65}, {65}},
       [](const Variables& x) { return layer_norm(x[0], x[1], x[2], 1e-5); },
       exact},
      {"layer_norm without bias",
       {{70, 65}, {65}},
       [](const Variables& x) { return layer_norm(x[0], x[1], {}, 1e-5); },
       exact},
  };
}

TEST_CASE("hidden states of a half type, parameters of f32: values and gradients are the reference's") {
  for (const DType half : {DType::bf16, DType::f16}) {
    for (const MixedCase& row : mixed_cases(half)) {
      const auto run_on = [&](Backend& backend, bool mixed) {
        Variables x;
        for (size_t i = 0; i < row.shapes.size(); ++i) {
          // Numbers that the half type holds, so that rounding a weight for its product changes nothing.
          const Tensor numbers = tensor_of(numbers_for({-1, 1}, row.shapes[i], static_cast<int>(i)),
                                           row.shapes[i], half, backend);
          x.push_back(Variable::parameter(numbers.to(!mixed ? DType::f64 : i == 0 ? half : DType::f32)));
        }
        const Variable y = row.f(x);
        const DType dtype = y.value().dtype();
        backward(y, tensor_of(numbers_for(dy_domain, y.shape(), 9), y.shape(), dtype, backend));
        return std::pair(y, x);
      };
      const auto [wanted_y, wanted] = run_on(backend("reference"), false);
      for (Backend* backend : tested_backends()) {
        INFO(row.name, " of ", name_of(half), " on ", backend->name());
        const auto [y, x] = run_on(*backend, true);
        const bool loss = y.value().rank() == 0;
        CHECK(y.value().dtype() == (loss ? DType::f32 : half));
        const auto error = [](const Tensor& a, const Tensor& b) {
          return relative_error(a.to_vector<double>(), b.to_vector<double>());
        };
        CHECK(error(y.value(), wanted_y.value()) <= tolerance(half));
        for (size_t i = 0; i < x.size(); ++i) {
          CAPTURE(i);
          CHECK(x[i].gradient().dtype() == x[i].value().dtype());
          CHECK(error(x[i].gradient(), wanted[i].gradient()) <=
                (i == 0 ? after_rounding(half) : row.weights));
        }
      }
    }
  }
}

TEST_CASE("a product of half types can be kept in f32, and in nothing else") {
  for (Backend* backend : tested_backends()) {
    const Shape shape{33, 31};
    const Tensor a = tensor_of(numbers_for({-1, 1}, shape, 0), shape, DType::bf16, *backend);
    const Tensor b = a.transpose(0, 1);
    const Tensor wide = matmul(a, b, {}, DType::f32), exact = matmul(a.to(DType::f64), b.to(DType::f64));
    CHECK(wide.dtype() == DType::f32);
    CHECK(relative_error(wide.to_vector<double>(), exact.to_vector<double>()) <= tolerance(DType::f32));
    CHECK_THROWS_WITH_AS(matmul(a, b, {}, DType::f16),
                         "matmul: products of bf16 are kept in it or in f32, not f16", Error);
    CHECK_THROWS_WITH_AS(linear(a, b.to(DType::f64), {}),
                         "matmul: bf16 and f64 do not mix; convert one with to()", Error);
    CHECK_THROWS_WITH_AS(layer_norm(a.to(DType::f32), Tensor::zeros({31}, DType::bf16, *backend), {}, 1e-5),
                         "layer_norm: a weight of bf16 does not go with f32; convert it with to()", Error);
  }
}

TEST_CASE("the head's gradient in f16 does not vanish, however many rows there are") {
  // Divided by the rows, the gradient of a logit is below f16's smallest number, 6e-8.
  const int64_t N = 20000, C = 4, V = 300;
  for (Backend* backend : tested_backends()) {
    if (backend->name() == "reference") continue;  // large: the reference would take its time
    const Tensor x = tensor_of(numbers_for({-1, 1}, {N, C}, 0), {N, C}, DType::f16, *backend);
    const Tensor w = tensor_of(numbers_for({-1, 1}, {V, C}, 1), {V, C}, DType::f16, *backend).to(DType::f32);
    const auto gradient = [&](const Tensor& rows) {
      const Variable weight = Variable::parameter(w);
      backward(linear_cross_entropy(rows, weight, targets_of(rows, weight)));
      return weight.gradient().to_vector<double>();
    };
    CHECK(relative_error(gradient(x), gradient(x.to(DType::f32))) <= tolerance(DType::f16));
  }
}

}  // namespace chapbook
