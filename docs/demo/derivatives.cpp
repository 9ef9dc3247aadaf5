// What chapter 7 prints. One part for each word: differences, graph, walk, small, twice, check, learn.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "autograd/ops.h"
#include "nn/gpt.h"

using namespace chapbook;

static Variable number(double x, DType dtype = DType::f64) {
  return Variable::parameter(Tensor::full({}, x, dtype, backend("reference")));
}

// How far (f(x + h) - f(x - h)) / 2h is from the derivative of tanh(x)^2 at 0.7, computed in T.
template <class T>
static double difference_error(double h) {
  const auto f = [](T x) { return std::tanh(x) * std::tanh(x); };
  const T step = static_cast<T>(h), x = static_cast<T>(0.7);
  // volatile: the difference is taken of rounded numbers, whatever the processor could fuse.
  const volatile T above = f(x + step), below = f(x - step);
  const double slope = static_cast<double>((above - below) / (2 * step));
  const double t = std::tanh(0.7);
  return std::fabs(slope - 2 * t * (1 - t * t));
}

static void differences() {
  fmt::print("step h    error in f32    error in f64\n");
  for (double h : {1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6})
    fmt::print("{:<9.0e} {:<15.0e} {:.0e}\n", h, difference_error<float>(h), difference_error<double>(h));
  const GPTConfig tiny{4, 4, 128, 128, 4096};
  fmt::print("\na model of {} parameters, two losses for each: {} forward passes for one gradient\n",
             parameter_count(tiny), 2 * parameter_count(tiny));
}

// z = y y x + y + x with y = x x. Its derivative at 2, by hand: 5 x^4 + 2 x + 1 = 85.
static Variable example(const Variable& x) {
  const Variable y = x * x;
  return y * y * x + y + x;
}

// Every node below `node`, by its number, newest first.
static std::map<uint64_t, std::shared_ptr<Node>, std::greater<>> nodes_below(
    const std::shared_ptr<Node>& node) {
  std::map<uint64_t, std::shared_ptr<Node>, std::greater<>> nodes;
  const std::function<void(const std::shared_ptr<Node>&)> visit = [&](const std::shared_ptr<Node>& next) {
    if (!next || !nodes.emplace(next->number, next).second) return;
    for (const Edge& edge : next->edges)
      for (const auto& input : edge.inputs) visit(input);
  };
  visit(node);
  return nodes;
}

static void graph() {
  const Variable x = number(2), z = example(x);
  for (const auto& [id, node] : nodes_below(z.node())) {
    std::string from;
    for (const Edge& edge : node->edges)
      for (const auto& input : edge.inputs)
        from += fmt::format("{}{}", from.empty() ? " from " : ", ", input->number);
    fmt::print("node {}: {}{}\n", id, node->name, from);
  }
}

// The walk with every gradient written down as it arrives: rules of the example, each with a word of its own.
static void walk() {
  const auto told = [](const char* from, const char* to, const Variable& x) {
    return record("told", x.value(), {{x, [=](const Tensor& dy) {
                                         fmt::print("{:<8} gives {:>4} to {}\n", from, dy.item(), to);
                                         return dy;
                                       }}});
  };
  const Variable x = number(2);
  const Variable y = told("x * x", "x, twice over", x) * x;
  const Variable yy = told("y * y", "y, twice over", y) * y;
  const Variable p = told("y y * x", "y * y", yy), q = told("y y * x", "x", x);
  const Variable yyx = p * q;
  const Variable r = told("+ y", "y y x", yyx), s = told("+ y", "y", y);
  const Variable left = r + s;
  const Variable t = told("+ x", "the sum before", left), u = told("+ x", "x", x);
  const Variable z = t + u;
  backward(z);
  fmt::print("in all, dz/dx = {}\n", x.gradient().item());
}

// region: small
struct Step {  // one number that was computed: from which ones, and how much it changes when they do
  double value;
  std::vector<std::pair<size_t, double>> inputs;
  double gradient = 0;
};
std::vector<Step> tape;  // in the order in which it was computed

size_t leaf(double value) { return tape.push_back({value, {}}), tape.size() - 1; }
size_t add(size_t a, size_t b) {
  return tape.push_back({tape[a].value + tape[b].value, {{a, 1}, {b, 1}}}), tape.size() - 1;
}
size_t multiply(size_t a, size_t b) {
  const double x = tape[a].value, y = tape[b].value;
  return tape.push_back({x * y, {{a, y}, {b, x}}}), tape.size() - 1;
}
void walk_back(size_t from) {
  tape[from].gradient = 1;
  for (size_t i = from + 1; i-- > 0;)
    for (const auto& [input, slope] : tape[i].inputs) tape[input].gradient += slope * tape[i].gradient;
}
// endregion

static void small_engine() {
  const size_t x = leaf(2), y = multiply(x, x);
  walk_back(add(add(multiply(multiply(y, y), x), y), x));
  fmt::print("dz/dx = {}\n", tape[x].gradient);
}

static void twice() {
  const Variable x = number(2), z = example(x);
  backward(z);
  fmt::print("dz/dx = {}\n", x.gradient().item());
  try {
    backward(z);
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
  }
  backward(example(x));
  fmt::print("after another z of the same x: {}\n", x.gradient().item());
}

// The relative error of a rule: |rule - differences| / |differences|, norms over all numbers of all inputs.
static double rule_error(const std::function<Variable(const std::vector<Variable>&)>& f,
                         const std::vector<Shape>& shapes) {
  Random random{7};
  std::vector<Variable> xs;
  for (const Shape& shape : shapes)
    xs.push_back(Variable::parameter(normal(shape, random, DType::f64, backend("reference"))));
  const Variable y = f(xs);
  const Tensor dy = normal(y.shape(), random, DType::f64, backend("reference"));
  backward(y, dy);
  double wrong = 0, all = 0;
  const double h = 1e-5;
  for (const Variable& x : xs) {
    const auto gradient = x.gradient().to_vector<double>();
    auto* numbers = x.value().view().as<double>();
    const auto loss = [&] { return sum(f(xs).value() * dy).item(); };
    for (size_t i = 0; i < gradient.size(); ++i) {
      const double here = numbers[i];
      numbers[i] = here + h;
      const double above = loss();
      numbers[i] = here - h;
      const double slope = (above - loss()) / (2 * h);
      numbers[i] = here;
      wrong += (gradient[i] - slope) * (gradient[i] - slope);
      all += slope * slope;
    }
  }
  return std::sqrt(wrong / all);
}

static void check_rules() {
  using Xs = const std::vector<Variable>&;
  const auto show = [](const char* name, const std::function<Variable(Xs)>& f,
                       const std::vector<Shape>& shapes) {
    const double error = rule_error(f, shapes);
    fmt::print("{:<12} {}\n", name, error < 1e-8 ? "below 1e-8" : fmt::format("{:.1e}", error));
  };
  show("mul", [](Xs x) { return x[0] * x[1]; }, {{3, 4}, {4}});
  show("tanh", [](Xs x) { return tanh(x[0]); }, {{3, 4}});
  show("matmul", [](Xs x) { return matmul(x[0], x[1]); }, {{3, 4}, {4, 5}});
  show("sum", [](Xs x) { return sum(x[0], {1}); }, {{3, 4}});
  show("softmax", [](Xs x) { return softmax(x[0]); }, {{3, 4}});
  show("mul, broken",
       [](Xs x) {
         return record("broken", x[0].value() * x[1].value(),
                       {{x[0], [y = x[1].value()](const Tensor& dy) { return dy * y; }},
                        {x[1], [x = x[0].value()](const Tensor& dy) { return dy * x * 0.999; }}});
       },
       {{3, 4}, {3, 4}});
}

// One hidden layer learns the sine: 32 points, full batches, plain gradient descent.
static void learn() {
  Backend& reference = backend("reference");
  Random random{1};
  std::vector<double> points, sines;
  for (int i = 0; i < 32; ++i) {
    points.push_back(-3 + 6.0 * i / 31);
    sines.push_back(std::sin(points.back()));
  }
  const Variable x = Tensor::from(points, {32, 1}, reference),
                 target = Tensor::from(sines, {32, 1}, reference);
  std::vector<Variable> parameters = {
      Variable::parameter(normal({1, 16}, random, DType::f64, reference)),
      Variable::parameter(normal({16}, random, DType::f64, reference)),
      Variable::parameter(normal({16, 1}, random, DType::f64, reference) * 0.25)};
  for (int step = 0; step <= 1000; ++step) {
    const Variable inside = tanh(matmul(x, parameters[0]) + parameters[1]);
    const Variable error = matmul(inside, parameters[2]) - target;
    const Variable loss = mean(error * error);
    if (step % 200 == 0) fmt::print("step {:>4}  loss {:.3f}\n", step, loss.value().item());
    backward(loss);
    for (Variable& parameter : parameters)
      parameter = Variable::parameter(parameter.value() - parameter.gradient() * 0.1);
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> parts = {{"differences", differences},
                                                   {"graph", graph},
                                                   {"walk", walk},
                                                   {"small", small_engine},
                                                   {"twice", twice},
                                                   {"check", check_rules},
                                                   {"learn", learn}};
  const auto part = parts.find(argc > 1 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_derivatives: one of differences, graph, walk, small, twice, check, learn\n");
    return 2;
  }
  part->second();
}
