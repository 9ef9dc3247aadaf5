// Products with packed matrices: every kernel of the cpu against the meaning in tensor/reference, the bytes'
// bit for bit; what a packed matrix holds; and how it is used wrongly.
#include <doctest/doctest.h>

#include <cstring>
#include <limits>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/packed.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/packed.h"
#include "tests/support/misuse.h"
#include "tests/support/operand.h"
#include "tests/support/run_case.h"

using namespace chapbook;

namespace {

Tensor random_matrix(int64_t rows, int64_t columns, uint64_t seed, Backend& on = backend("reference")) {
  Random random{seed};
  return normal({rows, columns}, random, DType::f32, backend("cpu")).to(on);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const std::vector<float> x = a.to_vector<float>(), y = b.to_vector<float>();
  return a.shape() == b.shape() && std::memcmp(x.data(), y.data(), x.size() * 4) == 0;
}

// f() with each kind of vectors this processor has.
template <class F>
void with_all_vectors(F f) {
  const std::string before(cpu::gemm_vectors());
  for (const char* name : {"avx512", "avx2", "portable"}) {
    try {
      cpu::set_gemm_vectors(name);
    } catch (const Error&) {
      MESSAGE("not tested: this processor has no " << name);
      continue;
    }
    CAPTURE(cpu::packed_vectors());
    f();
  }
  cpu::set_gemm_vectors(before);
}

struct Sizes {
  int64_t m, n, k;
};
// Around panels of 32 columns, groups of 32 numbers and blocks of rows, and past what one thread takes.
const Sizes all_sizes[] = {{1, 1, 1},    {1, 32, 32},   {2, 33, 31},    {3, 31, 33},
                           {5, 64, 4},   {6, 65, 96},   {7, 40, 63},    {13, 96, 64},
                           {16, 70, 65}, {29, 129, 97}, {1, 1500, 160}, {17, 700, 256}};

}  // namespace

TEST_CASE(
    "packed products of bytes have the bits of their meaning, whatever multiplies, on any number of "
    "threads") {
  const int threads = thread_pool().threads();
  for (const auto& [m, n, k] : all_sizes) {
    INFO(m, " ", n, " ", k);
    const Tensor a = random_matrix(m, k, 1), b = random_matrix(k, n, 2);
    const Tensor wanted = matmul(a, pack(b, Packing::int8));
    const Tensor x = a.to(backend("cpu"));
    const PackedMatrix packed = pack(b.to(backend("cpu")), Packing::int8);
    with_all_vectors([&] {
      for (const int count : {1, 2, 5}) {
        thread_pool().set_threads(count);
        CHECK(same_bits(matmul(x, packed), wanted.to(backend("cpu"))));
      }
    });
    // Rounding both sides to 8 bits costs less than a hundredth; with 7 bits it would be more.
    const Tensor exact = matmul(a.to(DType::f64), b.to(DType::f64));
    if (k >= 32) CHECK(relative_error(wanted.to_vector<double>(), exact.to_vector<double>()) <= 0.012);
  }
  thread_pool().set_threads(threads);
}

TEST_CASE(
    "packed products of bf16 are those of the rounded numbers, with the same bits on any number of threads") {
  const int threads = thread_pool().threads();
  for (const auto& [m, n, k] : all_sizes) {
    INFO(m, " ", n, " ", k);
    const Tensor a = random_matrix(m, k, 1), b = random_matrix(k, n, 2);
    const Tensor wanted = matmul(a.to(DType::f64), b.to(DType::bf16).to(DType::f64));
    const PackedMatrix packed = pack(b.to(backend("cpu")), Packing::bf16);
    CHECK(same_bits(unpack(packed), b.to(DType::bf16).to(DType::f32)));
    CHECK(packed.bytes() == 2 * ((n + 31) / 32 * 32) * ((k + 31) / 32 * 32));
    with_all_vectors([&] {
      Tensor first;
      for (const int count : {1, 2, 5}) {
        thread_pool().set_threads(count);
        const Tensor y = matmul(a.to(backend("cpu")), packed);
        CHECK(relative_error(y.to_vector<double>(), wanted.to_vector<double>()) <= tolerance(DType::f32));
        if (!first) first = y;
        CHECK(same_bits(y, first));
      }
    });
  }
  thread_pool().set_threads(threads);
}

TEST_CASE("packed products of bf16 and many rows are in pairs where there are instructions for them") {
  Backend& on = backend("cpu");
  const int threads = thread_pool().threads();
  for (const auto& [m, n, k] : {Sizes{17, 33, 31}, {33, 70, 130}, {100, 65, 64}}) {
    INFO(m, " ", n, " ", k);
    const Tensor a = random_matrix(m, k, 1), b = random_matrix(k, n, 2);
    const auto halves = [](const Tensor& x) { return x.to(DType::bf16).to(DType::f64); };
    const Tensor wanted = matmul(halves(a), halves(b)), x = a.to(on);
    const PackedMatrix packed = pack(b.to(on), Packing::bf16);
    with_vectors({"amx", "avx512bf16", "amx-as-written", "avx512bf16-as-written"}, [&] {
      Tensor first;
      for (const int count : {1, 2, 5}) {
        thread_pool().set_threads(count);
        const Tensor y = matmul(x, packed);
        CHECK(relative_error(y.to_vector<double>(), wanted.to_vector<double>()) <= tolerance(DType::f32));
        if (!first) first = y;
        CHECK(same_bits(y, first));
      }
      // Few rows are not rounded, so that they have the same bits alone and together.
      const Tensor few = x.slice(0, 0, few_rows);
      const Tensor exact = matmul(few.to(DType::f64), b.to(on).to(DType::bf16).to(DType::f64));
      CHECK(relative_error(matmul(few, packed).to_vector<double>(), exact.to_vector<double>()) <=
            tolerance(DType::f32));
    });
  }
  thread_pool().set_threads(threads);
}

TEST_CASE("a row of a packed product has the same bits alone and among others, with bias and residual") {
  Backend& on = backend("cpu");
  const int64_t m = 23, n = 77, k = 130;
  const Tensor a = random_matrix(m, k, 1, on), b = random_matrix(k, n, 2, on),
               residual = random_matrix(m, n, 3, on);
  const Tensor bias = random_matrix(1, n, 4, on).reshape({n});
  for (const Packing packing : {Packing::bf16, Packing::int8}) {
    CAPTURE(name_of(packing));
    const PackedMatrix packed = pack(b, packing);
    with_all_vectors([&] {
      const Tensor all = matmul(a, packed, bias, residual);
      for (int64_t i = 0; i < m; ++i)
        CHECK(same_bits(matmul(a.slice(0, i, i + 1), packed, bias, residual.slice(0, i, i + 1)),
                        all.slice(0, i, i + 1)));
      const Tensor parts = matmul(a, packed) + bias + residual;
      CHECK(relative_error(all.to_vector<double>(), parts.to_vector<double>()) <= tolerance(DType::f32));
      const Tensor batch = matmul(a.slice(0, 0, 22).reshape({2, 11, k}), packed, bias);
      CHECK(same_bits(batch.reshape({22, n}), matmul(a.slice(0, 0, 22), packed, bias)));
    });
  }
}

TEST_CASE(
    "a group of int8 is at most half a step off, holds zeros, small and large numbers, and is NaN where it "
    "is broken") {
  std::vector<float> numbers(64 * 40);
  Random random{5};
  for (float& x : numbers) x = static_cast<float>(random.below(2001)) / 1000 - 1;
  const auto at = [&](int64_t p, int64_t j) -> float& { return numbers[p * 40 + j]; };
  const float infinity = std::numeric_limits<float>::infinity();
  for (int64_t p = 0; p < 64; ++p) at(p, 1) = 0, at(p, 2) *= 1e-36f, at(p, 3) *= 3e38f, at(p, 4) *= 1e-20f;
  at(5, 6) = std::numeric_limits<float>::quiet_NaN(), at(40, 7) = -infinity;
  for (const char* name : {"cpu", "reference"}) {
    const PackedMatrix packed = pack(Tensor::from(numbers, {64, 40}, backend(name)), Packing::int8);
    CHECK(packed.bytes() == 2 * (2 * 32 * 32 + 2 * 32 * 4));
    const std::vector<float> got = unpack(packed).to_vector<float>();
    for (int64_t j = 0; j < 40; ++j)
      for (int64_t g = 0; g < 2; ++g) {
        float largest = 0;
        for (int64_t p = g * 32; p < g * 32 + 32; ++p) largest = std::max(largest, std::abs(at(p, j)));
        const bool broken = (j == 6 && g == 0) || (j == 7 && g == 1);
        for (int64_t p = g * 32; p < g * 32 + 32; ++p) {
          const float x = got[p * 40 + j];
          INFO(p, " ", j);
          if (broken)
            CHECK(std::isnan(x));
          else if (largest < 1e-30f)
            CHECK(x == 0);
          else
            CHECK(std::abs(x - at(p, j)) <= largest / 127 * 0.5001f);
        }
      }
  }
  // And so it is in a row of the other side, which spoils no row but its own.
  Tensor a = random_matrix(3, 64, 7, backend("cpu"));
  std::vector<float> rows = a.to_vector<float>();
  rows[64 + 40] = infinity;
  a = Tensor::from(rows, {3, 64}, backend("cpu"));
  const PackedMatrix whole = pack(random_matrix(64, 40, 8, backend("cpu")), Packing::int8);
  with_all_vectors([&] {
    const std::vector<float> y = matmul(a, whole).to_vector<float>();
    for (int64_t i = 0; i < 3 * 40; ++i) CHECK(std::isnan(y[i]) == (i / 40 == 1));
  });
}

TEST_CASE("packed matrices say in one line how they were used wrongly") {
  for (const char* name : {"cpu", "reference"}) {
    Backend &here = backend(name), &far = backend(here.name() == "cpu" ? "reference" : "cpu");
    const PackedMatrix packed = pack(random_matrix(3, 5, 1, here), Packing::int8), none;
    const Tensor x = random_matrix(2, 3, 2, here), y = random_matrix(2, 5, 3, here);
    std::set<std::string> tested;
    check_misuses(
        {{"pack", "pack: wants a matrix of f32, not (2, 3) of f64",
          [&] { pack(x.to(DType::f64), Packing::int8); }},
         {"pack", "pack: wants a matrix of f32, not (6,) of f32",
          [&] { pack(x.reshape({6}), Packing::bf16); }},
         {"pack", "pack: there is nothing in (0, 3)", [&] { pack(x.slice(0, 0, 0), Packing::int8); }},
         {"unpack", "unpack: the matrix was never packed", [&] { unpack(none); }},
         {"matmul", "matmul: the matrix was never packed", [&] { matmul(x, none); }},
         {"matmul", "matmul: (2, 5) times a packed (3, 5): inner sizes differ", [&] { matmul(y, packed); }},
         {"matmul", "matmul: a is (2, 3) of f64, not (2, 3) of f32",
          [&] { matmul(x.to(DType::f64), packed); }},
         {"matmul", "matmul: the bias is (2, 5) of f32, not (5,) of f32", [&] { matmul(x, packed, y); }},
         {"matmul", "matmul: the residual is (2, 3) of f32, not (2, 5) of f32",
          [&] { matmul(x, packed, {}, x); }},
         {"matmul", fmt::format("matmul: a is on '{}', the packed matrix on '{}'", far.name(), here.name()),
          [&] { matmul(x.to(far), packed); }}},
        here, tested);
  }
}
