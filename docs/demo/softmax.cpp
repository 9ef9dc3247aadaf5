// What chapter 4 prints. One part for each word: overflow, threads, shift, online, check, cost.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tensor/cpu/thread_pool.h"
#include "tensor/ops.h"
#include "tensor/random.h"

using namespace chapbook;

using Row = std::vector<double>;

static void print_row(const char* name, const Row& row) {
  fmt::print("{:<22}", name);
  for (const double x : row) fmt::print("{:>9}", std::isnan(x) ? "nan" : fmt::format("{:.4f}", x));
  fmt::print("\n");
}

// ---- beginner: softmax in three lines

// region: softmax
std::vector<float> softmax_at_first(std::vector<float> x) {
  float sum = 0;
  for (float& each : x) sum += each = std::exp(each);
  for (float& each : x) each /= sum;
  return x;
}
// endregion

static Row wide(const std::vector<float>& x) { return {x.begin(), x.end()}; }

static void overflow() {
  for (const float shift : {0.0f, 80.0f, 100.0f, -120.0f}) {
    const std::vector<float> x = {shift + 1, shift + 2, shift + 3};
    print_row(fmt::format("({}, {}, {})", x[0], x[1], x[2]).c_str(), wide(softmax_at_first(x)));
  }
}

static void shift() {
  for (const float shift : {0.0f, 80.0f, 100.0f, -120.0f}) {
    const std::vector<float> x = {shift + 1, shift + 2, shift + 3};
    print_row(fmt::format("({}, {}, {})", x[0], x[1], x[2]).c_str(),
              softmax(Tensor::from(x, {3})).to_vector<double>());
  }
}

// ---- threads: one sum, cut into as many pieces as there are threads

static void threads() {
  const int64_t n = 1000000;
  Random random{1};
  const Tensor x = uniform({n}, random, DType::f32, backend("cpu"));
  const std::vector<float> numbers = x.to_vector<float>();
  fmt::print("pieces, one for each thread     naive sum      ours with so many threads\n");
  const int before = thread_pool().threads();
  for (const int pieces : {1, 2, 3, 4, 8}) {
    float total = 0;
    for (int piece = 0; piece < pieces; ++piece) {
      float sum = 0;
      for (int64_t i = piece * n / pieces; i < (piece + 1) * n / pieces; ++i) sum += numbers[i];
      total += sum;
    }
    thread_pool().set_threads(pieces);
    fmt::print("{:>6}{:>35.4f}{:>31.4f}\n", pieces, total, sum(x).item());
  }
  thread_pool().set_threads(before);
  double exact = 0;
  for (const float each : numbers) exact += each;
  fmt::print("in f64{:>35.4f}\n", exact);
}

// ---- online: six scores in three pieces

struct State {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;  // of exp(x - largest)
};

// region: join
State join(State a, State b) {
  const double largest = std::max(a.largest, b.largest);
  return {largest, a.sum * std::exp(a.largest - largest) + b.sum * std::exp(b.largest - largest)};
}
// endregion

static State state_of(const Row& x) {
  State state;
  for (const double each : x) state.largest = std::max(state.largest, each);
  for (const double each : x) state.sum += std::exp(each - state.largest);
  return state;
}

static void online() {
  const std::vector<Row> pieces = {{1, 3}, {2, 0}, {5, 4}};
  State running;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const State here = state_of(pieces[i]);
    running = i == 0 ? here : join(running, here);
    fmt::print("piece ({}, {})   by itself: largest {}, sum {:.4f}   so far: largest {}, sum {:.4f}\n",
               pieces[i][0], pieces[i][1], here.largest, here.sum, running.largest, running.sum);
  }
  const State whole = state_of({1, 3, 2, 0, 5, 4});
  fmt::print("the row at once: largest {}, sum {:.4f}\nlog of the sum of exps: {:.4f} either way\n",
             whole.largest, whole.sum, running.largest + std::log(running.sum));
}

// ---- check: the way back against central differences, in f64

static std::string below(double error) {
  return fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(std::max(error, 1e-12)))));
}

static void check_gradients() {
  Random random{3};
  Backend& reference = backend("reference");
  Tensor x = normal({4, 7}, random, DType::f64, reference) * 2;
  const Tensor dy = normal({4, 7}, random, DType::f64, reference);
  const auto error = [&](const Tensor& formula, const std::function<Tensor(const Tensor&)>& f) {
    double apart = 0, size = 0;
    double* numbers = x.view().as<double>();
    const Row got = formula.to_vector<double>();
    for (int64_t i = 0; i < x.count(); ++i) {
      const double here = numbers[i], h = 1e-5;
      numbers[i] = here + h;
      const double above = sum(f(x) * dy).item();
      numbers[i] = here - h;
      const double slope = (above - sum(f(x) * dy).item()) / (2 * h);
      numbers[i] = here;
      apart += (got[i] - slope) * (got[i] - slope), size += slope * slope;
    }
    return std::sqrt(apart / size);
  };
  const auto softmax_of = [](const Tensor& t) { return softmax(t); };
  const auto log_softmax_of = [](const Tensor& t) { return log_softmax(t); };
  fmt::print("softmax       28 numbers   relative error {}\n",
             below(error(softmax_backward(softmax(x), dy), softmax_of)));
  fmt::print("log_softmax   28 numbers   relative error {}\n",
             below(error(log_softmax_backward(log_softmax(x), dy), log_softmax_of)));
  fmt::print("softmax without the sum: relative error {:.1f}\n", error(softmax(x) * dy, softmax_of));
  const Row rows = sum(softmax_backward(softmax(x), dy), {1}).to_vector<double>();
  double largest = 0;
  for (const double row : rows) largest = std::max(largest, std::abs(row));
  fmt::print("largest sum of a row of dx: {}\n", below(largest));
}

// ---- cost: from the results in bench/

static void cost() {
  fmt::print("                                               backend    GB/s   of the roof\n");
  std::ifstream rows("bench/results/bench_cpu.jsonl");
  for (std::string line; std::getline(rows, line);) {
    const auto result = nlohmann::json::parse(line);
    const std::string name = result.value("name", "");
    if (result.value("section", "") != "ops" ||
        !(name.starts_with("softmax") || name.starts_with("sum") || name.starts_with("cross_entropy")))
      continue;
    fmt::print("{:<24} {:<22}{:>9}{:>8.1f}{:>13.0f}%\n", name, result.at("shape").get<std::string>(),
               result.at("backend").get<std::string>(), result.at("median").get<double>(),
               100 * result.at("share").get<double>());
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"overflow", overflow}, {"threads", threads},       {"shift", shift},
      {"online", online},     {"check", check_gradients}, {"cost", cost}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_softmax: say which part: {}\n", "overflow threads shift online check cost");
    return 2;
  }
  part->second();
}
