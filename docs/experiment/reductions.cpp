// Chapter 4: the error of sums and of softmax against the length of the row, ours and as one would write it
// first; and an online softmax that forgets to rescale.
#include <fmt/format.h>

#include <cmath>

#include "docs/demo/sums.h"
#include "docs/tool/results.h"
#include "tensor/ops.h"
#include "tensor/random.h"

using namespace chapbook;

// log(sum(exp(x))) in pieces of 16, with or without what makes the pieces agree.
static double online_log_sum(const std::vector<double>& x, bool rescale) {
  double largest = -INFINITY, sum = 0;
  for (size_t begin = 0; begin < x.size(); begin += 16) {
    const double before = largest;
    const size_t end = std::min(x.size(), begin + 16);
    for (size_t i = begin; i < end; ++i) largest = std::max(largest, x[i]);
    if (rescale) sum *= std::exp(before - largest);
    for (size_t i = begin; i < end; ++i) sum += std::exp(x[i] - largest);
  }
  return largest + std::log(sum);
}

int main() {
  Results results("reductions", {"docs/demo/sums.h", "tensor/cpu/reduce.cpp", "tensor/cpu/softmax.cpp",
                                 "tensor/reference/softmax.cpp"});
  const int draws = 16;
  results.configuration = {{"numbers", "uniform between 0 and 1; scores normal"}, {"draws", draws}};
  Backend &cpu = backend("cpu"), &reference = backend("reference");
  Random random{1};

  Plot sums{"Error of a sum of f32 numbers", "terms", "relative error", true, true, {}};
  Line naive{"one after the other", {}, {}}, ours{"ours", {}, {}},
      rounded{"the exact sum, rounded to f32", {}, {}};
  for (int64_t n = 16; n <= (1 << 22); n *= 4) {
    double squares[3] = {};
    for (int draw = 0; draw < draws; ++draw) {
      const Tensor x = uniform({n}, random, DType::f32, cpu);
      const std::vector<float> numbers = x.to_vector<float>();
      double exact = 0;
      for (const float each : numbers) exact += each;
      const double errors[] = {naive_sum(std::span<const float>(numbers)) / exact - 1,
                               sum(x).item() / exact - 1, static_cast<float>(exact) / exact - 1};
      for (int i = 0; i < 3; ++i) squares[i] += errors[i] * errors[i] / draws;
    }
    for (const auto& [line, i, key] :
         {std::tuple{&naive, 0, "naive"}, {&ours, 1, "ours"}, {&rounded, 2, "rounded"}}) {
      line->x.push_back(static_cast<double>(n));
      line->y.push_back(std::sqrt(squares[i]));
      results.values["sum"][key][std::to_string(n)] = std::sqrt(squares[i]);
    }
  }
  sums.lines = {naive, ours, rounded};
  results.figure("sum-errors", sums);

  Plot soft{
      "Error of softmax, and of the log of its sum", "length of the row", "relative error", true, true, {}};
  Line at_first{"softmax, largest subtracted, one sum in f32", {}, {}}, cpu_softmax{"softmax, ours", {}, {}},
      cpu_log{"log of the sum, ours", {}, {}};
  for (int64_t n = 16; n <= (1 << 20); n *= 4) {
    double squares[3] = {};
    for (int draw = 0; draw < draws; ++draw) {
      const Tensor x = normal({1, n}, random, DType::f32, cpu);
      const Tensor exact_x = x.to(reference).to(DType::f64);
      const std::vector<double> exact = softmax(exact_x).to_vector<double>(),
                                got = softmax(x).to_vector<double>();
      std::vector<float> first = x.to_vector<float>();
      float largest = -INFINITY, sum = 0;
      for (const float each : first) largest = std::max(largest, each);
      for (float& each : first) sum += each = std::exp(each - largest);
      double apart[2] = {}, size = 0;
      for (int64_t j = 0; j < n; ++j) {
        apart[0] += (first[j] / sum - exact[j]) * (first[j] / sum - exact[j]);
        apart[1] += (got[j] - exact[j]) * (got[j] - exact[j]);
        size += exact[j] * exact[j];
      }
      const double log_sum = x.to_vector<double>()[0] - log_softmax(x).to_vector<double>()[0],
                   exact_log = exact_x.to_vector<double>()[0] - log_softmax(exact_x).to_vector<double>()[0];
      squares[0] += apart[0] / size / draws;
      squares[1] += apart[1] / size / draws;
      squares[2] += (log_sum / exact_log - 1) * (log_sum / exact_log - 1) / draws;
    }
    for (const auto& [line, i, key] :
         {std::tuple{&at_first, 0, "first"}, {&cpu_softmax, 1, "ours"}, {&cpu_log, 2, "log_sum"}}) {
      line->x.push_back(static_cast<double>(n));
      line->y.push_back(std::sqrt(squares[i]));
      results.values["softmax"][key][std::to_string(n)] = std::sqrt(squares[i]);
    }
  }
  soft.lines = {at_first, cpu_softmax, cpu_log};
  results.figure("softmax-errors", soft);

  // Break it: rows whose scores rise, fall, or do neither, and no rescaling.
  Plot broken{"Log of the sum of exps without rescaling, against the right one",
              "length of the row",
              "difference (nats)",
              true,
              false,
              {}};
  for (const auto& [name, key, slope] : {std::tuple{"scores rise by 0.1 each", "rising", 0.1},
                                         {"random scores", "random", 0.0},
                                         {"scores fall by 0.1 each", "falling", -0.1}}) {
    Line line{name, {}, {}};
    for (int64_t n = 16; n <= 4096; n *= 2) {
      std::vector<double> x = normal({n}, random, DType::f64, reference).to_vector<double>();
      for (int64_t i = 0; i < n; ++i) x[i] = slope == 0 ? x[i] : slope * static_cast<double>(i);
      line.x.push_back(static_cast<double>(n));
      line.y.push_back(online_log_sum(x, false) - online_log_sum(x, true));
      results.values["broken"][key][std::to_string(n)] = line.y.back();
    }
    broken.lines.push_back(line);
  }
  results.figure("online-broken", broken);
  results.write();
}
