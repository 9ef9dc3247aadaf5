// Products of the cpu backend: in every layout and size, with every epilogue, by every kernel. For pairs of
// bf16, also what their instructions compute, bit for bit.
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <tuple>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/processors.h"
#include "tensor/ops.h"
#include "tests/support/operand.h"
#include "tests/support/run_case.h"

using namespace chapbook;

namespace {

const Call multiply = [](Backend& b, Operands& x) { b.matmul(x[0].view(), x[1].view(), x[2].view(), {}); };

void multiply_in_all_layouts(int64_t m, int64_t n, int64_t k, DType dtype, DType result, double tolerance) {
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  const auto order = [](bool across) { return across ? std::vector<int>{1, 0} : std::vector<int>{0, 1}; };
  for (bool a_across : {false, true})
    for (bool b_across : {false, true})
      for (bool y_across : {false, true})
        for (int64_t gap : {0, 3}) {
          CAPTURE(a_across);
          CAPTURE(b_across);
          CAPTURE(y_across);
          agree("matmul",
                {Operand({m, k}, dtype, order(a_across), gap).normal(1),
                 Operand({k, n}, dtype, order(b_across), gap).normal(2),
                 Operand({m, n}, result, order(y_across), gap)},
                tolerance, multiply);
        }
}

}  // namespace

TEST_CASE("cpu: matrix products of any layout") {
  const int64_t sizes[][3] = {{1, 1, 1},   {1, 300, 33},  {1, 1030, 513}, {300, 1, 33},   {33, 31, 1},
                              {7, 65, 31}, {129, 33, 70}, {300, 600, 65}, {40, 50, 1500}, {257, 1030, 31}};
  for (const auto& [m, n, k] : sizes) multiply_in_all_layouts(m, n, k, DType::f32, DType::f32, 2e-6);
  multiply_in_all_layouts(1, 2053, 517, DType::f32, DType::f32, 2e-6);  // b is large enough for whole rows
  agree("f64",
        {Operand({33, 31}, DType::f64).normal(1), Operand({31, 70}, DType::f64).normal(2),
         Operand({33, 70}, DType::f64)},
        1e-14, multiply);
}

// One row goes other ways through memory than several, and through a large b others than through a small one.
TEST_CASE("cpu: a row has the same bits alone and among a few") {
  Backend& on = backend("cpu");
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>(77, 130), {1030, 513}, {2053, 517}}) {
    CAPTURE(n);
    Random random{1};
    const Tensor a = normal({5, k}, random, DType::f32, on), in_rows = normal({k, n}, random, DType::f32, on);
    for (const Tensor& b : {in_rows, in_rows.transpose(0, 1).contiguous_copy().transpose(0, 1)}) {
      const std::vector<float> together = matmul(a, b).to_vector<float>();
      for (int64_t i = 0; i < 5; ++i) {
        const std::vector<float> alone = matmul(a.slice(0, i, i + 1), b).to_vector<float>();
        CHECK(std::memcmp(alone.data(), together.data() + i * n, n * sizeof(float)) == 0);
      }
    }
  }
}

// A number of y that is rounded to bf16 may fall to either side of a boundary, as sums differ in their last
// bits: by 2^-8 of itself at most.
static constexpr double one_rounding = 0x1p-8;

TEST_CASE("cpu: products of bf16 in any layout, in pairs and tiles and without") {
  with_vectors({"portable", "avx512bf16", "amx", "avx512bf16-as-written", "amx-as-written"}, [] {
    // One number, odd sizes, the edges of blocks and tiles, and k of one, two and three stretches.
    const int64_t sizes[][3] = {{1, 1, 1},      {1, 70, 33},    {33, 1, 31},   {15, 65, 2},
                                {33, 31, 1},    {31, 33, 70},   {70, 40, 96},  {17, 33, 64},
                                {20, 34, 1100}, {20, 33, 2081}, {16, 32, 4200}};
    for (const auto& [m, n, k] : sizes) {
      multiply_in_all_layouts(m, n, k, DType::bf16, DType::bf16, one_rounding);
      multiply_in_all_layouts(m, n, k, DType::bf16, DType::f32, 2e-6);
    }
  });
}

TEST_CASE("cpu: products are cut for the caches there are, and have the same bits") {
  struct Restore {
    Caches before = caches();
    ~Restore() { caches() = before; }
  } restore;
  CHECK(caches().second > 0);
  CHECK(caches().last >= caches().second);
  Random random{1};
  const Tensor a = normal({300, 700}, random), b = normal({700, 1500}, random);
  const auto product = [&](DType dtype, Caches with) {
    caches() = with;
    return matmul(a.to(dtype), b.to(dtype));
  };
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor large = product(dtype, {int64_t{1} << 30, int64_t{1} << 30}), small = product(dtype, {1, 1});
    CHECK(cpu::blocking(dtype == DType::f32, 512).columns == 512);
    CHECK(cpu::blocking(dtype == DType::f32, 512).rows == 32);
    CHECK(std::memcmp(large.view().data, small.view().data, large.count() * size_of(dtype)) == 0);
  }
  caches() = {1 << 20, 32 << 20};
  CHECK(cpu::blocking(true, 512).rows == 108);
  CHECK(cpu::blocking(false, 1024).rows == 128);
  CHECK(cpu::blocking(true, 512).columns == 4096);
}

// What can go wrong in a vector of bits: numbers of all magnitudes, below the smallest normal one and beyond
// the largest, infinities and NaN.
static Operand any_bits(const Shape& shape, std::vector<int> order, uint64_t seed) {
  Operand x(shape, DType::bf16, std::move(order));
  Random random{seed};
  const View v = x.view();
  for (Index i(v.shape); i; ++i) {
    const bool far = random.below(8) == 0;  // else all sums would be infinite
    const uint64_t exponent = far ? random.below(256) : 120 + random.below(16);
    v.as<uint16_t>()[i.offset(v.strides)] =
        static_cast<uint16_t>(random.below(2) << 15 | exponent << 7 | random.below(128));
  }
  return x;
}

TEST_CASE("cpu: pairs and tiles compute what is written, bit for bit") {
  for (const std::string name : {"avx512bf16", "amx"})
    with_vectors({name}, [&] {
      int64_t numbers = 0;
      for (const auto& [m, n, k] :
           {std::array<int64_t, 3>{14, 32, 64}, {47, 65, 70}, {33, 31, 2300}, {200, 70, 7}})
        for (bool a_across : {false, true})
          for (bool b_across : {false, true}) {
            CAPTURE(m);
            CAPTURE(n);
            CAPTURE(k);
            const auto order = [](bool across) {
              return across ? std::vector<int>{1, 0} : std::vector<int>{0, 1};
            };
            // Rows without a number that is infinite: most, as k grows, have one.
            Operands made = {any_bits({m, k}, order(a_across), 1), any_bits({k, n}, order(b_across), 2),
                             Operand({m, n})};
            cpu::set_gemm_vectors(name);
            multiply(cpu_backend(), made);
            Operands written = {made[0], made[1], Operand({m, n})};
            cpu::set_gemm_vectors(name + "-as-written");
            multiply(cpu_backend(), written);
            for (Index i({m, n}); i; ++i) {
              const double got = made[2].at(i), want = written[2].at(i);
              const bool same = std::bit_cast<uint64_t>(got) == std::bit_cast<uint64_t>(want) ||
                                (std::isnan(got) && std::isnan(want));  // whose NaN it is differs
              if (!same) CHECK(got == want);
              numbers += std::isfinite(got);
            }
          }
      MESSAGE(name << ": " << numbers << " finite sums are the same");
      CHECK(numbers > 10'000);
    });
}

TEST_CASE("cpu: to pairs and tiles a number below the smallest normal one is 0") {
  constexpr uint16_t small = 0x0040, tiny = 0x0d80, less = 0x3080, large = 0x7180;  // 2^-127, -100, -30, 100
  const auto all = [](const Shape& shape, uint16_t bits) {
    Operand x(shape, DType::bf16);
    const View v = x.view();
    for (Index i(v.shape); i; ++i) v.as<uint16_t>()[i.offset(v.strides)] = bits;
    return x;
  };
  with_vectors({"avx512bf16", "amx", "avx512bf16-as-written", "amx-as-written"}, [&] {
    for (const auto& [left, right, sum] : {std::tuple(small, large, 0.0), std::tuple(large, small, 0.0),
                                           std::tuple(tiny, less, 0.0), std::tuple(tiny, large, 64.0)}) {
      Operands made = {all({32, 64}, left), all({64, 40}, right), Operand({32, 40})};
      multiply(cpu_backend(), made);
      for (Index i({32, 40}); i; ++i) REQUIRE(made[2].at(i) == sum);
    }
  });
}

TEST_CASE("cpu: batched products, strided, merged, stretched, of no dense axis") {
  agree("batch",
        {Operand({3, 2, 33, 31}).normal(1), Operand({3, 2, 31, 17}).normal(2), Operand({3, 2, 33, 17})}, 2e-6,
        multiply);
  agree("heads",
        {Operand({3, 2, 33, 31}, DType::f32, {0, 2, 1, 3}, 1).normal(1),
         Operand({3, 2, 31, 17}, DType::f32, {0, 3, 1, 2}).normal(2),
         Operand({3, 2, 33, 17}, DType::f32, {0, 2, 1, 3})},
        2e-6, multiply);
  agree("no dense axis",
        {Operand({5, 33, 31}, DType::f32, {1, 2, 0}).normal(1),
         Operand({5, 31, 17}, DType::f32, {2, 1, 0}).normal(2), Operand({5, 33, 17}, DType::f32, {1, 2, 0})},
        2e-6, multiply);
  for (int64_t m : {1, 33})
    for (int64_t gap : {0, 1})
      agree("one b for all",
            {Operand({4, m, 31}, DType::f32, {}, gap).normal(1), Operand({31, 17}).normal(2),
             Operand({4, m, 17})},
            2e-6, [](Backend& b, Operands& x) {
              b.matmul(x[0].view(), x[1].view().broadcast_to({4, 31, 17}), x[2].view(), {});
            });
  agree("repeated row", {Operand({1, 31}).normal(1), Operand({31, 17}).normal(2), Operand({9, 17})}, 2e-6,
        [](Backend& b, Operands& x) {
          b.matmul(x[0].view().broadcast_to({9, 31}), x[1].view(), x[2].view(), {});
        });
  agree("no numbers to add", {Operand({9, 0}), Operand({0, 17}), Operand({9, 17})}, 0, multiply);
}

// Runs f with every way to compute a product that this machine and build have.
template <class F>
void with_every_gemm(F&& f) {
  with_vectors({"avx512", "avx2", "portable"}, f);
  if (!cpu::has_openblas()) return;
  const cpu::Gemm before = cpu::gemm_choice();
  cpu::set_gemm("openblas");
  CAPTURE("openblas");
  f();
  cpu::set_gemm(before == cpu::Gemm::own ? "own" : before == cpu::Gemm::openblas ? "openblas" : "auto");
}

// The gradient of a bias sums all rows of a batch. One chain of f32 is off by 1e-5 here.
TEST_CASE("cpu: sums of many rows are made in pieces") {
  with_every_gemm([] {
    const int64_t rows = 300'000, n = 35;
    const Tensor b = tensor_of(numbers_for({0, 1}, {rows, n}, 1), {rows, n}, DType::f32, backend("cpu"));
    const Tensor a = Tensor::full({2, rows}, 1, DType::f32, backend("cpu")), sums = Tensor::full({n}, NAN);
    matmul(a, b, {.b_sums = sums.view()});
    const double error =
        relative_error(sums.to_vector<double>(), sum(b.to(DType::f64), {0}).to_vector<double>());
    CHECK(error <= 1e-6);
  });
}

// a and b are of `dtype`, y and what belongs to it of `result`.
static void multiply_with_every_epilogue(int64_t m, int64_t n, int64_t k, DType dtype, DType result,
                                         double tolerance) {
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  for (bool across : {false, true}) {
    CAPTURE(across);
    const std::vector<int> order = across ? std::vector<int>{1, 0} : std::vector<int>{0, 1};
    const Operand a = Operand({m, k}, dtype, order).normal(1), b = Operand({k, n}, dtype, order, 2).normal(2),
                  y({m, n}, result, {0, 1}, 3), like_y = Operand({m, n}, result, {0, 1}, 1).normal(4),
                  row = Operand({n}, result).normal(3);
    agree("plain", {a, b, y}, tolerance,
          [](Backend& on, Operands& x) { on.matmul(x[0].view(), x[1].view(), x[2].view(), {}); });
    agree("bias", {a, b, y, row}, tolerance, [](Backend& on, Operands& x) {
      on.matmul(x[0].view(), x[1].view(), x[2].view(), {.bias = x[3].view()});
    });
    agree("bias, residual", {a, b, y, row, like_y}, tolerance, [](Backend& on, Operands& x) {
      on.matmul(x[0].view(), x[1].view(), x[2].view(), {.bias = x[3].view(), .residual = x[4].view()});
    });
    agree("added to y", {a, b, like_y}, tolerance, [](Backend& on, Operands& x) {
      on.matmul(x[0].view(), x[1].view(), x[2].view(), {.residual = x[2].view()});
    });
    agree("bias, gelu", {a, b, y, row, y}, tolerance, [](Backend& on, Operands& x) {
      on.matmul(x[0].view(), x[1].view(), x[2].view(),
                {.bias = x[3].view(), .activation = Activation::gelu, .before = x[4].view()});
    });
    agree("gelu, nothing kept", {a, b, y}, tolerance, [](Backend& on, Operands& x) {
      on.matmul(x[0].view(), x[1].view(), x[2].view(), {.activation = Activation::gelu});
    });
    agree("gelu backward", {a, b, y, like_y}, tolerance, [](Backend& on, Operands& x) {
      on.matmul(x[0].view(), x[1].view(), x[2].view(),
                {.activation = Activation::gelu_backward, .before = x[3].view()});
    });
    agree("sums of b", {a, b, y, row}, tolerance, [](Backend& on, Operands& x) {
      on.matmul(x[0].view(), x[1].view(), x[2].view(), {.b_sums = x[3].view()});
    });
  }
}

TEST_CASE("cpu: products with every epilogue, by every kernel and library") {
  with_every_gemm([] {
    // A sum of k products of deviation 1 has deviation sqrt(k); GELU and its derivative keep that scale.
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1},
                                  {5, 600, 33},
                                  {14, 32, 40},
                                  {16, 513, 19},
                                  {17, 33, 41},
                                  {150, 530, 333},
                                  {33, 31, 1100},
                                  {129, 4130, 5}})
      multiply_with_every_epilogue(m, n, k, DType::f32, DType::f32, 3e-6);
  });
}

TEST_CASE("cpu: products of bf16 with every epilogue, in pairs and tiles") {
  with_vectors({"avx512bf16", "amx", "avx512bf16-as-written", "amx-as-written"}, [] {
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{1, 1, 1}, {5, 300, 33}, {33, 31, 1100}, {20, 170, 2100}}) {
      multiply_with_every_epilogue(m, n, k, DType::bf16, DType::bf16, one_rounding);
      multiply_with_every_epilogue(m, n, k, DType::bf16, DType::f32, 3e-6);
    }
  });
}
