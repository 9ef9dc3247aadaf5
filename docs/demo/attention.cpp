// What chapter 10 prints. One part for each word: problem, example, backward, found, beginner, entropy,
// check, places.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "docs/demo/recall.h"

using namespace chapbook;

// ---- problem: three ways to look back

static void problem() {
  fmt::print("a blind guess among 10 numbers costs ln 10 = {:.2f} nats\n\n", std::log(10));
  fmt::print("looks                                        loss   right\n");
  for (const auto& [name, look] : {std::pair{"at its own row only", Look::nowhere},
                                   {"at the mean of all places", Look::everywhere},
                                   {"where it wants to: attention", Look::attention}}) {
    Looker model(look, 32);
    const Learned learned = learn_recall(model, 300, 1);
    fmt::print("{:<40}{:>9.2f}{:>7.0f}%\n", name, learned.loss, 100 * learned.right);
  }
}

// ---- example: four places, two numbers each

using Rows = std::vector<std::vector<double>>;
static const Rows queries = {{1, 1}, {0, 0}, {2, -1}, {1, 2}}, keys = {{0, 0}, {1, 0}, {0, 1}, {1, 1}},
                  values = {{1, 1}, {7, 0}, {8, 5}, {2, 6}};

// ---- beginner: the definition in ten lines

static double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// region: attend
Rows attend(const Rows& q, const Rows& k, const Rows& v) {
  Rows y;
  for (size_t t = 0; t < q.size(); ++t) {
    std::vector<double> weight, mean(v[0].size());
    double sum = 0;
    for (size_t s = 0; s <= t; ++s) weight.push_back(std::exp(dot(q[t], k[s]) / std::sqrt(q[t].size())));
    for (const double w : weight) sum += w;
    for (size_t s = 0; s <= t; ++s)
      for (size_t d = 0; d < mean.size(); ++d) mean[d] += weight[s] / sum * v[s][d];
    y.push_back(mean);
  }
  return y;
}
// endregion

static Tensor tensor_of(const Rows& rows, double factor = 1) {
  std::vector<double> all;
  for (const auto& row : rows)
    for (const double x : row) all.push_back(x * factor);
  const auto T = static_cast<int64_t>(rows.size()), D = static_cast<int64_t>(rows[0].size());
  return Tensor::from(all, {1, 1, T, D}, backend("reference"));
}

static Attended ours(const Rows& q, double factor = 1) {
  return attention(tensor_of(q, factor), tensor_of(keys), tensor_of(values), std::sqrt(0.5));
}

// The weights of the example, row t in places 0 to t.
static Rows weights() {
  const std::vector<double> log_sum = ours(queries).log_sum.to_vector<double>();
  Rows p;
  for (size_t t = 0; t < queries.size(); ++t) {
    p.emplace_back();
    for (size_t s = 0; s <= t; ++s)
      p[t].push_back(std::exp(dot(queries[t], keys[s]) * std::sqrt(0.5) - log_sum[t]));
  }
  return p;
}

static void example() {
  const Rows p = weights();
  const std::vector<double> y = ours(queries).y.to_vector<double>();
  fmt::print("place      query      key    value    weights of places 1 to 4                y\n");
  for (size_t t = 0; t < 4; ++t) {
    std::string row;
    for (size_t s = 0; s < 4; ++s) row += s <= t ? fmt::format("{:>8.3f}", p[t][s]) : "       -";
    const auto pair = [](const std::vector<double>& x) { return fmt::format("({}, {})", x[0], x[1]); };
    fmt::print("{:>5}{:>11}{:>9}{:>9}{}   ({:.3f}, {:.3f})\n", t + 1, pair(queries[t]), pair(keys[t]),
               pair(values[t]), row, y[2 * t], y[2 * t + 1]);
  }
}

static void run_beginner() {
  double apart = 0;
  const std::vector<double> wanted = ours(queries).y.to_vector<double>();
  const Rows got = attend(queries, keys, values);
  for (size_t t = 0; t < got.size(); ++t) {
    fmt::print("y of place {}   ({:.3f}, {:.3f})\n", t + 1, got[t][0], got[t][1]);
    for (size_t d = 0; d < 2; ++d) apart = std::max(apart, std::abs(got[t][d] - wanted[2 * t + d]));
  }
  fmt::print("never further from ours than 1e-12: {}\n\n", apart <= 1e-12);
  Rows large = queries;
  for (auto& row : large)
    for (double& x : row) x *= 1000;
  const std::vector<double> right = ours(queries, 1000).y.to_vector<double>();
  const Rows wrong = attend(large, keys, values);
  const auto shown = [](double x) { return std::isnan(x) ? "nan" : fmt::format("{:.3f}", x); };
  fmt::print("queries times 1,000, place 4: ({}, {}); ours ({}, {})\n", shown(wrong[3][0]),
             shown(wrong[3][1]), shown(right[6]), shown(right[7]));
}

// ---- backward: what place 4 sends back

static void print_backward() {
  const Rows p = weights();
  const std::vector<double> y = ours(queries).y.to_vector<double>();
  for (const std::vector<double>& dy : Rows{{1, 0}, {0, 1}}) {
    fmt::print("dy of place 4 is ({}, {})\nplace    weight   v - y              dy (v - y)     ds\n", dy[0],
               dy[1]);
    double sum = 0;
    for (size_t s = 0; s < 4; ++s) {
      const std::vector<double> apart = {values[s][0] - y[6], values[s][1] - y[7]};
      const double ds = p[3][s] * dot(dy, apart);
      sum += ds;
      fmt::print("{:>5}{:>10.3f}   {:<17}{:>12.3f}{:>7.3f}\n", s + 1, p[3][s],
                 fmt::format("({:.3f}, {:.3f})", apart[0], apart[1]), dot(dy, apart), ds);
    }
    fmt::print("the ds add up to 0: {}\n{}", std::abs(sum) <= 1e-12, dy[0] == 1 ? "\n" : "");
  }
}

// ---- found: which place the trained model looks at

static void found() {
  Looker model(Look::attention, 32);
  learn_recall(model, 300, 1);
  NoGrad no_grad;
  Random random{7};
  const Recall task(1, 1, random);
  const Variable held = model.name(task.names) + model.number(task.numbers);
  const Tensor q = model.q(model.first(task.asked[0])).value(), k = model.k(held).value();
  const std::vector<double> p =
      softmax(matmul(k, q.transpose(1, 2)).reshape({recall_places}) / std::sqrt(32.0)).to_vector<double>();
  const auto names = task.names.to_vector<int32_t>(), numbers = task.numbers.to_vector<int32_t>();
  std::string rows[3] = {"name  ", "number", "weight"};
  for (size_t i = 0; i < p.size(); ++i) {
    rows[0] += fmt::format("{:>7}", static_cast<char>('a' + names[i]));
    rows[1] += fmt::format("{:>7}", numbers[i]);
    rows[2] += fmt::format("{:>7.2f}", p[i]);
  }
  fmt::print("asked for: {}\n", static_cast<char>('a' + task.asked[0].to_vector<int32_t>()[0]));
  for (const std::string& row : rows) fmt::print("{}\n", row);
}

// ---- check: both inputs of every product, against central differences in f64

static std::string below(double error) {
  return fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(std::max(error, 1e-12)))));
}

static void check_gradients() {
  Random random{3};
  Backend& reference = backend("reference");
  const int64_t T = 5, S = 7, D = 4;
  const auto drawn = [&](int64_t rows) { return normal({1, 2, rows, D}, random, DType::f64, reference); };
  const Tensor x[] = {drawn(T), drawn(S), drawn(S)}, dy = drawn(T);
  const double scale = 0.7;
  const Attended saved = attention(x[0], x[1], x[2], scale);
  Tensor gradients[] = {Tensor::like(x[0]), Tensor::like(x[1]), Tensor::like(x[2])};
  attention_backward(x[0], x[1], x[2], scale, saved, dy, gradients[0], gradients[1], gradients[2]);
  for (int which = 0; which < 3; ++which) {
    const std::vector<double> got = gradients[which].to_vector<double>();
    auto* numbers = x[which].view().as<double>();
    double apart = 0, size = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double here = numbers[i], h = 1e-5;
      const auto value = [&] { return sum(attention(x[0], x[1], x[2], scale).y * dy).item(); };
      numbers[i] = here + h;
      const double above = value();
      numbers[i] = here - h;
      const double slope = (above - value()) / (2 * h);
      numbers[i] = here;
      apart += (got[i] - slope) * (got[i] - slope), size += slope * slope;
    }
    fmt::print("d{}   {} numbers   relative error {}\n", "qkv"[which], got.size(),
               below(std::sqrt(apart / size)));
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"problem", problem},         {"example", example}, {"beginner", run_beginner},
      {"backward", print_backward}, {"found", found},     {"check", check_gradients}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_attention: say which part: {}\n",
               "problem example beginner backward found check");
    return 2;
  }
  part->second();
}
