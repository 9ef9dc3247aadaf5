// What chapter 8 prints. One part for each word: starts, maps, example, rows, sizes, walk, dropped, beginner,
// check, parts.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "docs/demo/small_net.h"
#include "nn/gpt.h"

using namespace chapbook;

// ---- starts: one net, one task, five kinds of first weights

static auto normal_weights(double deviation) {
  return [deviation, random = Random{1}](double in) mutable {
    return normal_at(random.seed, random.take(1), 0) * (deviation > 0 ? deviation : 1 / std::sqrt(in));
  };
}

static void starts() {
  const std::vector<Point> points = spiral(60);
  fmt::print("first weights            loss: step 0   step 100   step 500   different units\n");
  const auto row = [&](const char* name, auto&& weight) {
    SmallNet net(Bend::gelu, {2, 12, 12, 12, 1}, weight);
    fmt::print("{:<25}", name);
    for (const int step : {0, 100, 500}) {
      static int done;
      for (done = step ? done : 0; done < step; ++done) net.learn(points, 0.1);
      const double loss = net.loss(points);
      fmt::print("{:>{}}", std::isfinite(loss) ? fmt::format("{:.3f}", loss) : "lost",
                 step == 0     ? 13
                 : step == 100 ? 11
                               : 11);
    }
    fmt::print("{:>18}\n", net.different_units());
  };
  row("all 0.3", [](double) { return 0.3; });
  row("a deviation of 0.01", normal_weights(0.01));
  row("a deviation of 3", normal_weights(3));
  row("a deviation of 1/sqrt(in)", normal_weights(0));
}

// ---- maps: where the net says arm 1, while it learns

static void maps() {
  const std::vector<Point> points = spiral(60);
  SmallNet net(Bend::gelu, {2, 12, 12, 12, 1}, normal_weights(0));
  const int rows = 13, columns = 25;
  std::vector<std::string> lines(rows + 1);
  int done = 0;
  for (const int step : {0, 40, 100}) {
    for (; done < step; ++done) net.learn(points, 0.1);
    lines[0] += fmt::format("{:<28}", fmt::format("step {}: loss {:.2f}", step, net.loss(points)));
    std::vector<std::string> map(rows, std::string(columns, ' '));
    const auto at = [&](int i, int j) { return Row{(j - 12) / 11.0, (6 - i) / 5.5}; };
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) map[i][j] = net.score(at(i, j)) > 0 ? ':' : ' ';
    for (const Point& point : points) {
      const int i = static_cast<int>(std::lround(6 - point.x[1] * 5.5)),
                j = static_cast<int>(std::lround(12 + point.x[0] * 11));
      map[i][j] = point.arm > 0 ? 'A' : 'b';
    }
    for (int i = 0; i < rows; ++i) lines[i + 1] += fmt::format("|{}| ", map[i]);
  }
  for (const std::string& line : lines) fmt::print("{}\n", line);
}

// ---- example: three numbers to two, and rows of a table

static Tensor matrix(const Row& x, const Shape& shape) {
  return Tensor::from(x, shape, backend("reference"));
}

static void print_numbers(const std::string& name, const Tensor& x) {
  fmt::print("{:>7}", name);
  const std::vector<double> numbers = x.to_vector<double>();
  for (size_t i = 0; i < numbers.size(); ++i)
    fmt::print("{}{:>4g}", i && i % static_cast<size_t>(x.size(-1)) == 0 ? "  |" : "", numbers[i]);
  fmt::print("\n");
}

static void example() {
  const Variable x = Variable::parameter(matrix({1, 0, 2}, {1, 3})),
                 w = Variable::parameter(matrix({1, 2, 3, 4, 5, 6}, {3, 2})),
                 b = Variable::parameter(matrix({10, 20}, {2}));
  const Variable y = linear(x, w, b);
  print_numbers("x", x.value());
  print_numbers("W", w.value());
  print_numbers("b", b.value());
  print_numbers("y", y.value());
  backward(y, matrix({1, -1}, {1, 2}));
  print_numbers("dy", matrix({1, -1}, {1, 2}));
  print_numbers("dx", x.gradient());
  print_numbers("dW", w.gradient());
  print_numbers("db", b.gradient());
}

static void rows() {
  const Variable table = Variable::parameter(matrix({1, 2, 3, 4, 5, 6, 7, 8}, {4, 2}));
  const Tensor ids = Tensor::from(std::vector<int32_t>{2, 0, 2}, {3}, backend("reference"));
  const Variable y = gather_rows(table, ids);
  print_numbers("table", table.value());
  fmt::print("    ids   2   0   2\n");
  print_numbers("y", y.value());
  const Tensor dy = matrix({1, 1, 10, 10, 100, 100}, {3, 2});
  backward(y, dy);
  print_numbers("dy", dy);
  print_numbers("dtable", table.gradient());
}

// ---- sizes: what a matrix and a bend do to the size of numbers

static double size_of_numbers(const Tensor& x) { return std::sqrt(mean(x * x).item()); }

static void sizes() {
  fmt::print("  in    W of 0.1    W of 1/sqrt(in)    then relu    then gelu    W of sqrt(2/in) and relu\n");
  for (const int64_t in : {16, 64, 256, 1024}) {
    Random random{2};
    const Tensor x = normal({256, in}, random), w = normal({in, 256}, random);
    const double deviation = 1 / std::sqrt(static_cast<double>(in));
    const Tensor y = matmul(x, w * deviation);
    fmt::print("{:>4}{:>12.2f}{:>19.2f}{:>13.2f}{:>13.2f}{:>28.2f}\n", in,
               size_of_numbers(matmul(x, w * 0.1)), size_of_numbers(y), size_of_numbers(relu(y)),
               size_of_numbers(gelu(y)), size_of_numbers(relu(y * std::sqrt(2))));
  }
}

// ---- walk: sixteen branches, each added to the stream

// Prints the sizes of the stream and of what each branch adds to it, and the cosine between the two.
static void walk_with(double scale) {
  const int64_t C = 512;
  Random random{3};
  Tensor x = normal({64, C}, random);
  double squares = size_of_numbers(x) * size_of_numbers(x);
  const LayerNorm norm(C, false);
  if (scale == 1)
    fmt::print(
        "branch    its size    cosine to the stream    stream    by Pythagoras\n{:>6}{:>44.2f}{:>17.2f}\n", 0,
        std::sqrt(squares), std::sqrt(squares));
  for (int branch = 1; branch <= 16; ++branch) {
    MLP mlp(C, false);
    mlp.c_proj.deviation *= scale;
    mlp.initialise(random);
    const Tensor added = mlp(norm(Variable(x)), Variable(Tensor::zeros({64, C}))).value();
    const double size = size_of_numbers(added), cosine = mean(added * x).item() / size / size_of_numbers(x);
    squares += size * size;
    x = x + added;
    if (scale == 1 ? branch <= 3 || branch % 4 == 0 : branch == 16)
      fmt::print("{:>6}{:>12.2f}{:>24}{:>8.2f}{:>17.2f}\n", branch, size,
                 std::abs(cosine) < 0.05 ? "below 0.05" : fmt::format("{:.2f}", cosine), size_of_numbers(x),
                 std::sqrt(squares));
  }
}

static void walk() {
  walk_with(1);
  fmt::print("with the last weights of each branch divided by sqrt(16):\n");
  walk_with(0.25);
}

// ---- dropped: a million ones, some of which become 0

static void dropped() {
  fmt::print("   p    mean, not scaled    mean    variance    p / (1 - p)\n");
  for (const double p : {0.1, 0.5, 0.9}) {
    Random random{4};
    const Tensor y = dropout(Variable(Tensor::full({1000, 1000}, 1)), p, random).value().to(DType::f64);
    const double average = mean(y).item(), square = mean(y * y).item();
    fmt::print("{:>4}{:>20.2f}{:>8.2f}{:>12.2f}{:>15.2f}\n", p, average * (1 - p), average,
               square - average * average, p / (1 - p));
  }
}

// ---- beginner: the loops of small_net.h against ours

static double largest(const Tensor& x) { return max(abs(x)).item(); }

// A difference as the power of ten above it.
static std::string below(double error) {
  return fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(std::max(error, 1e-14)))));
}

static void beginner() {
  Random random{5};
  Backend& device = backend("reference");
  const int64_t N = 4, in = 5, out = 3;
  const Variable x = Variable::parameter(normal({N, in}, random, DType::f64, device)),
                 w = Variable::parameter(normal({in, out}, random, DType::f64, device)),
                 b = Variable::parameter(normal({out}, random, DType::f64, device));
  const Tensor dy = normal({N, out}, random, DType::f64, device);
  const Variable y = linear(x, w, b);
  backward(y, dy);

  const auto row = [](const Tensor& t, int64_t i) { return t.slice(0, i, i + 1).to_vector<double>(); };
  Layer layer, sums{std::vector<Row>(in, Row(out)), Row(out)};
  for (int64_t i = 0; i < in; ++i) layer.w.push_back(row(w.value(), i));
  layer.b = b.value().to_vector<double>();
  Row all_y, all_dx, all_dw;
  for (int64_t i = 0; i < N; ++i) {
    for (const double each : linear(layer, row(x.value(), i))) all_y.push_back(each);
    for (const double each : linear_backward(layer, row(x.value(), i), row(dy, i), sums))
      all_dx.push_back(each);
  }
  for (const Row& each : sums.w) all_dw.insert(all_dw.end(), each.begin(), each.end());
  fmt::print("largest difference from ours: y {}, dx {}, dW {}, db {}\n",
             below(largest(matrix(all_y, {N, out}) - y.value())),
             below(largest(matrix(all_dx, {N, in}) - x.gradient())),
             below(largest(matrix(all_dw, {in, out}) - w.gradient())),
             below(largest(matrix(sums.b, {out}) - b.gradient())));
}

// ---- check: the rules against central differences, in f64

using Inputs = std::vector<std::pair<std::string, Shape>>;

static void check_rules(const char* op, const Inputs& inputs,
                        const std::function<Variable(const std::vector<Variable>&)>& f) {
  Random random{6};
  std::vector<Variable> x;
  for (const auto& [name, shape] : inputs)
    x.push_back(Variable::parameter(normal(shape, random, DType::f64, backend("reference"))));
  const Variable y = f(x);
  const Tensor dy = normal(y.shape(), random, DType::f64, backend("reference"));
  backward(y, dy);
  const auto value = [&] {
    NoGrad none;
    return sum(f(x).value() * dy).item();
  };
  for (size_t i = 0; i < x.size(); ++i) {
    auto* numbers = x[i].value().view().as<double>();
    const Row gradient = x[i].gradient().to_vector<double>();
    double apart = 0, length = 0;
    for (size_t j = 0; j < gradient.size(); ++j) {
      const double here = numbers[j], h = 1e-5;
      numbers[j] = here + h;
      const double above = value();
      numbers[j] = here - h;
      const double slope = (above - value()) / (2 * h);
      numbers[j] = here;
      apart += (gradient[j] - slope) * (gradient[j] - slope);
      length += slope * slope;
    }
    fmt::print("{:<12}d{:<10}{:>3} numbers   relative error {}\n", i ? "" : op, inputs[i].first,
               gradient.size(), below(std::sqrt(apart / length)));
  }
}

static void check_gradients() {
  check_rules("linear", {{"x", {4, 5}}, {"weight", {5, 3}}, {"bias", {3}}, {"residual", {4, 3}}},
              [](const auto& x) { return linear(x[0], x[1], x[2], x[3]); });
  check_rules("mlp",
              {{"x", {4, 3}}, {"W1", {3, 6}}, {"b1", {6}}, {"W2", {6, 3}}, {"b2", {3}}, {"residual", {4, 3}}},
              [](const auto& x) { return mlp(x[0], x[1], x[2], x[3], x[4], x[5]); });
  check_rules("embedding", {{"table", {5, 3}}}, [](const auto& x) {
    return gather_rows(x[0], Tensor::from(std::vector<int32_t>{4, 0, 4, 1}, {4}, backend("reference")));
  });
  check_rules("dropout", {{"x", {4, 5}}}, [](const auto& x) {
    Random same{7};  // the same mask every time
    return dropout(x[0], 0.3, same);
  });
}

// ---- parts: a module is asked for its parameters, and draws its first weights

static void parts() {
  GPT model({.layers = 2, .heads = 2, .width = 64, .context = 32, .vocabulary = 256});
  Random random{8};
  model.initialise(random);
  for (const Parameter& each : parameters(model)) {
    if (each.name.find(".h.1.") != std::string::npos) continue;
    fmt::print("{:<36}{:>12}   size {:.4f}\n", each.name, each.variable.shape().to_string(),
               size_of_numbers(each.variable.value()));
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> all = {{"starts", starts},   {"maps", maps},
                                                            {"example", example}, {"rows", rows},
                                                            {"sizes", sizes},     {"walk", walk},
                                                            {"dropped", dropped}, {"beginner", beginner},
                                                            {"parts", parts},     {"check", check_gradients}};
  const auto part = all.find(argc == 2 ? argv[1] : "");
  if (part == all.end()) {
    fmt::print(stderr, "demo_layers: say which part: {}\n",
               "starts maps example rows sizes walk dropped beginner check parts");
    return 2;
  }
  part->second();
}
