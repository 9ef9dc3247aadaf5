// What chapter 3 prints. One part for each word: beginner, walk, merged, exp, errors, check.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "autograd/ops.h"
#include "docs/demo/elementwise.h"
#include "tensor/loop.h"
#include "tensor/random.h"

using namespace chapbook;

static void print_numbers(const char* name, const std::vector<float>& x) {
  fmt::print("{:<22}", name);
  for (const float each : x) fmt::print("{:>5g}", each);
  fmt::print("\n");
}

// ---- beginner: a bias for each column, and one for each row

static void beginner() {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6}, columns = {10, 20, 30}, rows = {100, 200};
  print_numbers("x, 2 rows of 3", x);
  print_numbers("plus (10, 20, 30)", add(x, columns));
  print_numbers("plus (100, 200)", add(x, rows));
  const Tensor ours = Tensor::from(x, {2, 3}) + Tensor::from(rows, {2, 1});
  print_numbers("ours, plus a column", ours.to_vector<float>());
}

// ---- walk: where the numbers of each operand are

static void walk() {
  const Shape y = {2, 3};
  const View a{nullptr, DType::f32, y, contiguous_strides(y)};
  const View b = View{nullptr, DType::f32, {3}, contiguous_strides({3})}.broadcast_to(y);
  fmt::print("strides of y {}, of a {}, of b {}\n", a.strides.to_string(), a.strides.to_string(),
             b.strides.to_string());
  for (const auto& [name, view] : {std::pair{"y", &a}, {"a", &a}, {"b", &b}}) {
    fmt::print("place in {}   ", name);
    for (int64_t i = 0; i < 6; ++i) fmt::print("{:>3}", offset_of(i, view->shape, view->strides));
    fmt::print("\n");
  }
}

// ---- merged: how few rows a loop needs

static void merged() {
  fmt::print("y = a + b                           rows of the loop          steps of y, a, b in a row\n");
  const auto row = [](const char* what, const View& a, const View& b) {
    const Shape shape = broadcast(a.shape, b.shape, "add");
    const Loop<3> loop(
        shape, {contiguous_strides(shape), a.broadcast_to(shape).strides, b.broadcast_to(shape).strides});
    const int64_t length = loop.shape[-1];
    fmt::print("{:<36}{:<26}{}, {}, {}\n", what, fmt::format("{} of {}", loop.shape.count() / length, length),
               loop.step(0), loop.step(1), loop.step(2));
  };
  const auto dense = [](const Shape& shape) {
    return View{nullptr, DType::f32, shape, contiguous_strides(shape)};
  };
  row("(8, 16, 32) + (8, 16, 32)", dense({8, 16, 32}), dense({8, 16, 32}));
  row("(8, 16, 32) + (32)", dense({8, 16, 32}), dense({32}));
  row("(8, 16, 32) + (16, 1)", dense({8, 16, 32}), dense({16, 1}));
  row("(8, 16, 32) + (8, 1, 1)", dense({8, 16, 32}), dense({8, 1, 1}));
  row("(8, 16, 32) + ()", dense({8, 16, 32}), dense({1}));
  row("(16, 32) + (32, 16) transposed", dense({16, 32}), dense({32, 16}).transpose(0, 1));
}

// ---- exp: its steps for one number

static void exp_steps() {
  for (const double x : {3.0, -10.0}) {
    const double n = std::round(x / std::log(2)), r = x - n * std::log(2);
    fmt::print("x = {}: x / ln 2 = {:.4f}, n = {}, r = {:.4f}, e^r = {:.6f}, times 2^{} = {:.6g}\n", x,
               x / std::log(2), n, r, std::exp(r), n, std::ldexp(std::exp(r), static_cast<int>(n)));
  }
  const float magic = 12582912.0f, rounded = 4.3281f + magic;
  fmt::print("4.3281 + 12582912 = {:.1f} in f32, less 12582912 = {:.1f}; the last bits of the sum: {:b}\n",
             rounded, rounded - magic, std::bit_cast<uint32_t>(rounded) & 0xffu);
}

// ---- errors: our exp for float against the C library's for double

static void errors() {
  double worst = 0, cut = 0;
  for (int i = 0; i <= 2'000'000; ++i) {
    const float x = -86.0f + 174.0f * static_cast<float>(i) / 2e6f;
    const double right = std::exp(double{x}), unit = std::ldexp(1, std::ilogb(right) - 23);
    worst = std::max(worst, std::abs(math::exp(x) - right) / unit);
    const double n = std::round(x / std::log(2)), r = x - n * std::log(2);
    double taylor = 1;
    for (int k = 4; k >= 1; --k) taylor = 1 + taylor * r / k;
    cut = std::max(cut, std::abs(std::ldexp(taylor, static_cast<int>(n)) - right) / unit);
  }
  fmt::print("largest error over 2,000,001 numbers from -86 to 88, in units of the last place\n");
  fmt::print("ours                        {}\n", worst < 1 ? "below 1" : worst < 2 ? "below 2" : "2 or more");
  fmt::print("Taylor to the fourth power  about {:.0f}\n", std::round(cut / 10) * 10);
  fmt::print("exp(-100) = {}, exp(100) = {}, exp(NaN) = {}\n", math::exp(-100.0f), math::exp(100.0f),
             std::isnan(math::exp(std::nanf(""))) ? "nan" : "a number");
}

// ---- check: every rule against central differences, in f64

static std::string below(double error) {
  return fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(std::max(error, 1e-14)))));
}

using Function = std::function<Variable(const std::vector<Variable>&)>;

static void check_rule(const char* op, const std::vector<Shape>& shapes, const Function& f) {
  Random random{6};
  std::vector<Variable> x;
  for (const Shape& shape : shapes)  // 0.5 to 1.5: no logarithm of 0, and no corner of abs or relu
    x.push_back(Variable::parameter(uniform(shape, random, DType::f64, backend("reference")) + 0.5));
  const Variable y = f(x);
  const Tensor dy = normal(y.shape(), random, DType::f64, backend("reference"));
  backward(y, dy);
  double worst = 0;
  for (const Variable& each : x) {
    auto* numbers = each.value().view().as<double>();
    const std::vector<double> gradient = each.gradient().to_vector<double>();
    double apart = 0, length = 0;
    for (size_t j = 0; j < gradient.size(); ++j) {
      const double here = numbers[j], h = 1e-5;
      const auto value = [&](double at) {
        NoGrad none;
        numbers[j] = at;
        return sum(f(x).value() * dy).item();
      };
      const double slope = (value(here + h) - value(here - h)) / (2 * h);
      numbers[j] = here;
      apart += (gradient[j] - slope) * (gradient[j] - slope);
      length += slope * slope;
    }
    worst = std::max(worst, std::sqrt(apart / length));
  }
  fmt::print("{:<16}{}\n", op, below(worst));
}

static void check_rules() {
  using V = std::vector<Variable>;
  check_rule("exp", {{3, 4}}, [](const V& x) { return exp(x[0]); });
  check_rule("log", {{3, 4}}, [](const V& x) { return log(x[0]); });
  check_rule("sqrt, rsqrt", {{3, 4}}, [](const V& x) { return sqrt(x[0]) + rsqrt(x[0]); });
  check_rule("tanh", {{3, 4}}, [](const V& x) { return tanh(x[0]); });
  check_rule("sigmoid", {{3, 4}}, [](const V& x) { return sigmoid(x[0]); });
  check_rule("silu", {{3, 4}}, [](const V& x) { return silu(x[0]); });
  check_rule("gelu, both", {{3, 4}}, [](const V& x) { return gelu(x[0]) + gelu_erf(x[0]); });
  check_rule("relu, abs, neg", {{3, 4}}, [](const V& x) { return relu(x[0] - 1) + abs(-x[0]); });
  check_rule("(3, 4) - (4)", {{3, 4}, {4}}, [](const V& x) { return x[0] - x[1]; });
  check_rule("(3, 1) / (3, 4)", {{3, 1}, {3, 4}}, [](const V& x) { return x[0] / x[1]; });
  check_rule("pow, maximum", {{3, 4}, {1}}, [](const V& x) { return pow(x[0], x[1]) + maximum(x[0], x[1]); });
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {{"beginner", beginner}, {"walk", walk},
                                                              {"merged", merged},     {"exp", exp_steps},
                                                              {"errors", errors},     {"check", check_rules}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_elementwise: say which part: beginner walk merged exp errors check\n");
    return 2;
  }
  part->second();
}
