// What chapter 2 prints. One part for each word: problem, places, walk, memory, gradients, ignore_strides.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "autograd/ops.h"
#include "tensor/ops.h"
#include "tensor/print.h"

using namespace chapbook;

static Tensor counted(const Shape& shape) {
  return Tensor::arange(shape.count(), DType::f32, backend("reference")).reshape(shape);
}

// A matrix the way one first writes it: the number in row i and column j stands at i * columns + j.
struct Matrix {
  int64_t rows, columns;
  const float* data;
  float operator()(int64_t i, int64_t j) const { return data[i * columns + j]; }
};

static void print_matrix(const Matrix& x) {
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j < x.columns; ++j) fmt::print("{:3.0f}", x(i, j));
    fmt::print("\n");
  }
}

static void problem() {
  const float numbers[] = {0, 1, 2, 3, 4, 5};
  const Matrix x{2, 3, numbers};
  fmt::print("x, 2 by 3:\n");
  print_matrix(x);
  const Matrix y{x.columns, x.rows, numbers};
  fmt::print("x with its sizes swapped, 3 by 2:\n");
  print_matrix(y);
  fmt::print("x(0, 1) is {:.0f}; y(1, 0) should be the same and is {:.0f}\n", x(0, 1), y(1, 0));
}

// Where the numbers of a view are, in the order of its indices, counted from the start of its storage.
static std::string places(const Tensor& x, const Tensor& whole) {
  const int64_t start = x.view().as<float>() - whole.view().as<float>();
  std::string text;
  for (Index i(x.shape()); i; ++i) text += fmt::format(" {}", start + i.offset(x.view().strides));
  return text;
}

static void show_places() {
  const Tensor x = counted({2, 3});
  const auto show = [&](const char* what, const Tensor& y) {
    const int64_t start = y.view().as<float>() - x.view().as<float>();
    fmt::print("{:<28} {:<7} {:<8} {:<6}{}\n", what, y.shape(), y.view().strides, start, places(y, x));
  };
  fmt::print("{:<28} {:<7} {:<8} {:<6} {}\n", "view", "shape", "strides", "start", "places");
  show("x", x);
  show("x.transpose(0, 1)", x.transpose(0, 1));
  show("x.slice(1, 1, 3)", x.slice(1, 1, 3));
  show("x.select(0, 1)", x.select(0, 1));
  show("x.reshape({3, 2})", x.reshape({3, 2}));
  show("x.slice(0, 0, 1)", x.slice(0, 0, 1));
  show(".broadcast_to({2, 3})", x.slice(0, 0, 1).broadcast_to({2, 3}));
}

static void walk() {
  const Tensor x = counted({2, 3}), y = x.transpose(0, 1);
  fmt::print("x:\n{}\n\ny = x.transpose(0, 1):\n{}\n\n", print(x), print(y));
  fmt::print("x and y see the same memory: {}\n", x.view().data == y.view().data);
  x.backend().fill(x.view().slice(0, 0, 1), 7);
  fmt::print("after the first row of x is filled with 7, y is\n{}\n\n", print(y));
  const Tensor flat = y.reshape({6});
  fmt::print("y.reshape({{6}}) cannot be a view, so it is a copy: {}\n", flat.view().data != y.view().data);
  try {
    y.view().reshape({6});
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
  }
}

static void memory() {
  const int64_t B = 8, T = 256, H = 6, C = 384;
  const Tensor qkv = Tensor::empty({B, T, 3 * C}, DType::f32, backend("reference"));
  BlockCache& blocks = qkv.backend().blocks();
  const auto megabytes = [](size_t bytes) { return static_cast<double>(bytes) / 1e6; };
  fmt::print("qkv {}: {:.2f} MB\n", qkv.shape(), megabytes(qkv.count() * 4));
  size_t before = blocks.live_bytes();
  const Tensor queries = qkv.slice(2, 0, C).reshape({B, T, H, C / H}).transpose(1, 2);
  fmt::print("its queries by head, a view {}, strides {}: {:.2f} MB more\n", queries.shape(),
             queries.view().strides, megabytes(blocks.live_bytes() - before));
  before = blocks.live_bytes();
  const Tensor copy = queries.contiguous_copy();
  fmt::print("the same as a copy, strides {}: {:.2f} MB more\n", copy.view().strides,
             megabytes(blocks.live_bytes() - before));
  fmt::print("a View itself: {} bytes; a Tensor: {} bytes\n", sizeof(View), sizeof(Tensor));
}

// The largest difference between the rule's gradient of sum(w * f(x)) and central differences in f64.
static double gradient_error(const std::function<Variable(const Variable&)>& f, const Shape& shape) {
  Random random{2};
  Backend& reference = backend("reference");
  const Tensor at = normal(shape, random, DType::f64, reference);
  const Tensor w = normal(f(Variable(at)).shape(), random, DType::f64, reference);
  const auto loss = [&](const Variable& x) { return sum(f(x) * Variable(w)); };
  const Variable x = Variable::parameter(at);
  backward(loss(x));
  const std::vector<double> rule = x.gradient().to_vector<double>();
  std::vector<double> numbers = at.to_vector<double>();
  double worst = 0;
  const double h = 1e-5;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double keep = numbers[i];
    const auto at_step = [&](double step) {
      numbers[i] = keep + step;
      return loss(Variable(Tensor::from(numbers, shape, reference))).value().item();
    };
    const double difference = (at_step(h) - at_step(-h)) / (2 * h);
    numbers[i] = keep;
    worst = std::max(worst, std::fabs(difference - rule[i]));
  }
  return worst;
}

static void gradients() {
  const auto show = [](const char* name, const std::function<Variable(const Variable&)>& f,
                       const Shape& shape) {
    const double error = gradient_error(f, shape);
    fmt::print("{:<14} of {:<10} {}\n", name, shape,
               error < 1e-9 ? "below 1e-9" : fmt::format("{:.1e}", error));
  };
  show("transpose", [](const Variable& x) { return transpose(x, 0, 1); }, {3, 4});
  show("slice", [](const Variable& x) { return slice(x, 1, 1, 3); }, {3, 4});
  show("reshape", [](const Variable& x) { return reshape(x, {2, 6}); }, {3, 4});
  show("broadcast_to", [](const Variable& x) { return broadcast_to(x, {5, 3, 4}); }, {3, 1});
}

// The switch that breaks it: numbers are read one behind the other, whatever the strides say.
static void ignore_strides() {
  const Tensor x = counted({2, 3}), y = x.transpose(0, 1);
  View broken = y.view();
  broken.strides = contiguous_strides(broken.shape);
  Tensor z = Tensor::like(y);
  z.backend().copy(broken, z.view());
  fmt::print("y:\n{}\n\nread without its strides:\n{}\n", print(y), print(z));
}

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> parts = {
      {"problem", problem}, {"places", show_places},  {"walk", walk},
      {"memory", memory},   {"gradients", gradients}, {"ignore_strides", ignore_strides}};
  const auto part = parts.find(argc > 1 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_tensors: one of problem, places, walk, memory, gradients, ignore_strides\n");
    return 2;
  }
  part->second();
}
