// Every rung of the CUDA ladders on the simt machine, against sums in double, at sizes that no block, warp or
// tile divides; and what each rung promises about memory, counted.
#include <doctest/doctest.h>

#include <cmath>

#include "bench/ladder/cuda/rungs.h"
#include "tensor/simt/counters.h"
#include "tests/support/run_case.h"

using namespace chapbook;
using ladder::CudaLadder, ladder::CudaRung;

namespace {

// Numbers in [-2, 2), as the rung's operands are rounded.
std::vector<double> numbers(const Shape& shape, int which, double rounding) {
  std::vector<double> x = numbers_for({}, shape, which);
  for (double& number : x)
    number = rounding > 0 ? static_cast<float>(bf16(static_cast<float>(number))) : static_cast<float>(number);
  return x;
}

using Meaning =
    std::function<std::vector<double>(const std::vector<std::vector<double>>& xs, const Shape& shape)>;

// Each rung on xs of those shapes, against its meaning in double. What is there before must not matter.
void check_ladder(const CudaLadder& ladder, const std::vector<Shape>& shapes, const Shape& shape,
                  const Meaning& meaning) {
  Backend& simt = backend("simt");
  for (const CudaRung& rung : ladder.rungs) {
    INFO(ladder.op, ", ", rung.name, " of ", shapes[0].to_string());
    std::vector<std::vector<double>> xs;
    std::vector<Tensor> tensors;
    std::vector<View> views;
    for (size_t i = 0; i < shapes.size(); ++i) {
      xs.push_back(numbers(shapes[i], static_cast<int>(i), rung.rounding));
      tensors.push_back(tensor_of(xs.back(), shapes[i], rung.operands, simt));
      views.push_back(tensors.back().view());
    }
    const Tensor y = Tensor::full(shape, NAN, DType::f32, simt);
    rung.run(simt, views, y.view());
    // Sums of f32 in another order: of n numbers, some sqrt(n) half units in the last place; or as the rung
    // says.
    const double error = relative_error(y.to_vector<double>(), meaning(xs, shape));
    CHECK(error <= rung.error);
  }
}

}  // namespace

TEST_CASE("cuda ladders: elementwise") {
  for (int64_t n : {1, 31, 33, 1023, 5000})
    check_ladder(ladder::elementwise_ladder, {{n}}, {n}, [](const auto& xs, const Shape&) {
      std::vector<double> y = xs[0];
      for (double& x : y) x = math::gelu(x);
      return y;
    });
}

TEST_CASE("cuda ladders: reduction") {
  for (int64_t n : {1, 31, 33, 1023, 10000})
    check_ladder(ladder::reduction_ladder, {{n}}, {1}, [](const auto& xs, const Shape&) {
      double sum = 0;
      for (double x : xs[0]) sum += x;
      return std::vector<double>{sum};
    });
}

TEST_CASE("cuda ladders: matmul") {
  const int64_t sizes[][3] = {{1, 1, 1}, {31, 33, 17}, {64, 64, 16}, {65, 70, 100}};
  for (const auto& [m, n, k] : sizes)
    check_ladder(ladder::matmul_ladder, {{m, k}, {k, n}}, {m, n}, [](const auto& xs, const Shape& shape) {
      const int64_t m = shape[0], n = shape[1], k = static_cast<int64_t>(xs[0].size()) / m;
      std::vector<double> y(m * n);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t p = 0; p < k; ++p)
          for (int64_t j = 0; j < n; ++j) y[i * n + j] += xs[0][i * k + p] * xs[1][p * n + j];
      return y;
    });
}

TEST_CASE("cuda ladders: softmax") {
  for (int64_t n : {1, 31, 33, 1023})
    check_ladder(ladder::softmax_ladder, {{5, n}}, {5, n}, [](const auto& xs, const Shape& shape) {
      std::vector<double> y = xs[0];
      for (int64_t i = 0; i < shape[0]; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < shape[1]; ++j) sum += std::exp(y[i * shape[1] + j]);
        for (int64_t j = 0; j < shape[1]; ++j) y[i * shape[1] + j] = std::exp(y[i * shape[1] + j]) / sum;
      }
      return y;
    });
}

TEST_CASE("cuda ladders: layer norm") {
  for (int64_t n : {4, 36, 772, 1024})
    check_ladder(
        ladder::layer_norm_ladder, {{7, n}, {n}, {n}}, {7, n}, [](const auto& xs, const Shape& shape) {
          const int64_t n = shape[1];
          std::vector<double> y = xs[0];
          for (int64_t i = 0; i < shape[0]; ++i) {
            double mean = 0, variance = 0;
            for (int64_t j = 0; j < n; ++j) mean += xs[0][i * n + j] / static_cast<double>(n);
            for (int64_t j = 0; j < n; ++j)
              variance += std::pow(xs[0][i * n + j] - mean, 2) / static_cast<double>(n);
            for (int64_t j = 0; j < n; ++j)
              y[i * n + j] = (xs[0][i * n + j] - mean) / std::sqrt(variance + 1e-5) * xs[1][j] + xs[2][j];
          }
          return y;
        });
}

TEST_CASE("cuda ladders: attention") {
  for (int64_t T : {1, 31, 33, 70, 200}) {
    const Shape shape{2, T, 64};
    check_ladder(ladder::attention_ladder, {shape, shape, shape}, shape,
                 [](const auto& xs, const Shape& shape) {
                   const int64_t T = shape[1], D = shape[2];
                   std::vector<double> y(shape.count());
                   for (int64_t head = 0; head < shape[0]; ++head)
                     for (int64_t t = 0; t < T; ++t) {
                       std::vector<double> weights(t + 1);
                       double sum = 0;
                       for (int64_t s = 0; s <= t; ++s) {
                         double score = 0;
                         for (int64_t d = 0; d < D; ++d)
                           score += xs[0][(head * T + t) * D + d] * xs[1][(head * T + s) * D + d];
                         sum += weights[s] = std::exp(score / 8);
                       }
                       for (int64_t s = 0; s <= t; ++s)
                         for (int64_t d = 0; d < D; ++d)
                           y[(head * T + t) * D + d] += weights[s] / sum * xs[2][(head * T + s) * D + d];
                     }
                   return y;
                 });
  }
}

// What a rung does to memory: all of its kernels together.
static simt::Counters counted(const CudaLadder& ladder, size_t rung, const std::vector<Shape>& shapes,
                              const Shape& shape) {
  Backend& simt = backend("simt");
  std::vector<Tensor> tensors;
  std::vector<View> views;
  for (const Shape& each : shapes) {
    tensors.push_back(Tensor::full(each, 1, ladder.rungs.at(rung).operands, simt));
    views.push_back(tensors.back().view());
  }
  const Tensor y = Tensor::empty(shape, DType::f32, simt);
  simt::start_counting();
  ladder.rungs.at(rung).run(simt, views, y.view());
  simt::stop_counting();
  simt::Counters sum;
  for (const auto& [name, each] : simt::counters()) {
    sum.global.reads += each.global.reads;
    sum.global.writes += each.global.writes;
    sum.global.bytes += each.global.bytes;
    sum.global.requests += each.global.requests;
    sum.shared.requests += each.shared.requests;
    sum.sectors += each.sectors;
    sum.bank_conflicts += each.bank_conflicts;
    sum.barriers += each.barriers;
  }
  return sum;
}

TEST_CASE("cuda ladders: each rung does to memory what it says") {
  SUBCASE("elementwise: a warp's request touches 32 sectors, then 4; packs are a quarter of the requests") {
    const auto count = [](size_t rung) {
      return counted(ladder::elementwise_ladder, rung, {{4096}}, {4096});
    };
    CHECK(count(0).sectors_per_request() == 32);
    CHECK(count(1).sectors_per_request() == 4);
    CHECK(count(2).sectors_per_request() == 16);
    CHECK(count(2).global.requests * 4 == count(1).global.requests);
    CHECK(count(2).sectors == count(1).sectors);
  }
  SUBCASE("reduction: a barrier for each of 8 steps, then two in all") {
    const auto count = [](size_t rung) { return counted(ladder::reduction_ladder, rung, {{256}}, {1}); };
    CHECK(count(0).barriers == 8);
    CHECK(count(1).barriers == 8);
    CHECK(count(2).barriers == 2);
    // A row of warps falls idle sooner than lanes spread over all of them.
    CHECK(count(1).shared.requests < count(0).shared.requests);
  }
  SUBCASE("matmul: tiles read each number 32 times less, registers read shared memory less") {
    const auto count = [](size_t rung) {
      return counted(ladder::matmul_ladder, rung, {{64, 64}, {64, 64}}, {64, 64});
    };
    CHECK(count(0).sectors > 4 * count(1).sectors);
    CHECK(count(1).global.reads == 2 * 64 * 64 * 64);
    CHECK(count(2).global.reads == 2 * 64 * 64 * 64 / 32);
    CHECK(count(3).global.reads == 2 * 64 * 64);
    CHECK(count(3).shared.requests * 2 < count(2).shared.requests);
  }
  SUBCASE("softmax: a row is read three times, then twice, then once") {
    for (const auto& [rung, reads] : {std::pair{1, 3}, {2, 2}, {3, 1}})
      CHECK(counted(ladder::softmax_ladder, rung, {{4, 512}}, {4, 512}).global.reads == reads * 4 * 512);
  }
  SUBCASE("layer norm: a warp needs no barrier, and registers read the row once") {
    const auto count = [](size_t rung) {
      return counted(ladder::layer_norm_ladder, rung, {{4, 512}, {512}, {512}}, {4, 512});
    };
    CHECK(count(1).barriers > 0);
    CHECK(count(2).barriers == 0);
    const int64_t row = 512 * 4 * 4, once = 4 * row;  // x, weight, bias and y
    CHECK(count(2).global.bytes == once + 2 * row);
    CHECK(count(3).global.bytes == once);
  }
  SUBCASE("attention: no score is written, and then keys and values are read for 32 queries at once") {
    const Shape shape{1, 64, 64};
    const auto count = [&](size_t rung) {
      return counted(ladder::attention_ladder, rung, {shape, shape, shape}, shape);
    };
    CHECK(count(0).global.writes > 64 * 64 + 64 * 64);
    CHECK(count(1).global.writes == 64 * 64);
    CHECK(count(2).global.writes == 64 * 64);
    CHECK(count(2).global.reads * 15 < count(1).global.reads);
  }
  SUBCASE("attention: a barrier less a tile, then half the reads of shared memory, and no bank conflict") {
    const Shape shape{1, 256, 64};
    const auto count = [&](size_t rung) {
      return counted(ladder::attention_ladder, rung, {shape, shape, shape}, shape);
    };
    const simt::Counters waits = count(3), ahead = count(4), wide = count(5), lazy = count(6);
    CHECK(waits.barriers == 2 * (1 + 2 + 3 + 4));
    CHECK(ahead.barriers == 1 + 2 + 3 + 4);
    CHECK(ahead.global.bytes == waits.global.bytes);
    CHECK(wide.barriers == 2 + 4);
    // 16 reads of keys and of values a tile and warp, and what 128 threads copy of them.
    CHECK(ahead.shared.requests == 10 * 4 * (16 + 16 + 8));
    CHECK(wide.shared.requests == 6 * 4 * (16 + 16 + 8));
    for (const simt::Counters& each : {waits, ahead, wide, lazy}) CHECK(each.bank_conflicts == 0);
  }
}
