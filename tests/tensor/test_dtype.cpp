// Half types against the definition of rounding: of the two neighbours the nearer, of equally near ones the
// even.
#include "tensor/cpu/half.h"
#include "tensor/dtype.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace chapbook;

namespace {

template <class T>
T from_bits(uint32_t bits) {
  T x;
  x.bits = static_cast<uint16_t>(bits);
  return x;
}

template <class T>
constexpr int exponent_bits = 5;
template <>
constexpr int exponent_bits<bf16> = 8;

// The value of a finite pattern, from the definition: (-1)^sign 1.fraction 2^(exponent - bias), without the 1
// when exponent = 0.
template <class T>
double value_of(uint32_t bits) {
  const int fraction_bits = 15 - exponent_bits<T>, bias = (1 << (exponent_bits<T> - 1)) - 1;
  const int exponent = (bits & 0x7fff) >> fraction_bits, fraction = bits & ((1 << fraction_bits) - 1);
  const double magnitude = exponent == 0
                               ? std::ldexp(fraction, 1 - bias - fraction_bits)
                               : std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
  return bits & 0x8000 ? -magnitude : magnitude;
}

template <class T>
constexpr uint32_t infinity_bits = ((1u << exponent_bits<T>)-1) << (15 - exponent_bits<T>);

// The pattern nearest to x by search. Patterns of one sign are ordered like their values, and infinity rounds
// as if it were the next number of the sequence, 2^128 or 2^16.
template <class T>
uint32_t nearest(float x) {
  const uint32_t sign = std::signbit(x) ? 0x8000 : 0;
  const double magnitude = std::abs(static_cast<double>(x));
  const auto value = [](uint32_t bits) {
    return bits == infinity_bits<T> ? std::ldexp(1.0, 1 << (exponent_bits<T> - 1)) : value_of<T>(bits);
  };
  uint32_t low = 0,
           high =
               infinity_bits<T>;  // value(low) <= magnitude, and value(high) > magnitude or high is infinity
  if (magnitude >= value(high)) return sign | high;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (value(middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - value(low), above = value(high) - magnitude;
  return sign | (below < above || (below == above && low % 2 == 0) ? low : high);
}

template <class T>
void check_rounding(float x) {
  INFO("x = ", fmt::format("{:a}", x));
  CHECK(T(x).bits == nearest<T>(x));
}

}  // namespace

TEST_CASE_TEMPLATE("dtype: every 16-bit pattern", T, bf16, f16) {
  int wrong_value = 0, wrong_round_trip = 0, wrong_nan = 0, nans = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float x = static_cast<float>(from_bits<T>(bits));
    const uint16_t back = T(x).bits;
    if ((bits & 0x7fff) > infinity_bits<T>) {
      ++nans;
      wrong_nan += !std::isnan(x) || (back & 0x7fff) <= infinity_bits<T> || (back ^ bits) & 0x8000;
    } else {
      const double expected =
          (bits & 0x7fff) == infinity_bits<T> ? (bits & 0x8000 ? -INFINITY : INFINITY) : value_of<T>(bits);
      wrong_value += x != expected || std::signbit(x) != (bits >= 0x8000);
      wrong_round_trip += back != bits;
    }
  }
  CHECK(nans == 2 * ((1 << (15 - exponent_bits<T>)) - 1));
  CHECK(wrong_value == 0);
  CHECK(wrong_round_trip == 0);
  CHECK(wrong_nan == 0);
}

TEST_CASE_TEMPLATE("dtype: rounds to the nearest, ties to even", T, bf16, f16) {
  // All midpoints between neighbours, which f32 holds exactly, and the floats on both sides of them.
  int wrong = 0;
  for (uint32_t bits = 0; bits < infinity_bits<T>; ++bits) {
    const double next =
        bits + 1 == infinity_bits<T> ? std::ldexp(1.0, 1 << (exponent_bits<T> - 1)) : value_of<T>(bits + 1);
    const float middle = static_cast<float>((value_of<T>(bits) + next) / 2);
    for (const float x : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)})
      wrong += T(x).bits != nearest<T>(x) || T(-x).bits != nearest<T>(-x);
  }
  CHECK(wrong == 0);

  std::mt19937 generator(1);
  for (int i = 0; i < 200'000; ++i) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(generator()));
    if (!std::isnan(x)) wrong += T(x).bits != nearest<T>(x);
  }
  CHECK(wrong == 0);
}

TEST_CASE("dtype: chosen numbers") {
  check_rounding<f16>(65519.996f);
  CHECK(f16(65519.996f).bits == 0x7bff);  // 65,504, the largest
  CHECK(f16(65520.0f).bits == 0x7c00);    // the tie goes to infinity
  CHECK(f16(0x1p-24f).bits == 1);         // the smallest subnormal
  CHECK(f16(0x1p-25f).bits == 0);         // half of it: the tie goes to 0
  CHECK(f16(-0x1p-25f).bits == 0x8000);
  CHECK(f16(0x1.8p-25f).bits == 1);
  CHECK(f16(1.0f).bits == 0x3c00);
  CHECK(bf16(1.0f).bits == 0x3f80);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(bf16(std::bit_cast<float>(0x7f800001u)).bits ==
        0x7fc0);  // a NaN whose upper half is infinity's stays NaN
  CHECK(f16(std::bit_cast<float>(0xff800001u)).bits == 0xfe00);
  CHECK(bf16(std::numeric_limits<float>::denorm_min()).bits == 0);
}

TEST_CASE("dtype: names and sizes") {
  const std::pair<std::string_view, int64_t> all[] = {{"f32", 4}, {"f64", 8}, {"bf16", 2}, {"f16", 2},
                                                      {"i32", 4}, {"u16", 2}, {"u8", 1}};
  for (const auto& [name, size] : all) {
    CHECK(name_of(dtype_named(name)) == name);
    CHECK(size_of(dtype_named(name)) == size);
    CHECK(is_float(dtype_named(name)) == (name.find('f') != name.npos));
    visit(dtype_named(name), [&]<class T>(Type<T>) { CHECK(name_of(dtype_of<T>()) == name); });
  }
  CHECK_THROWS_WITH_AS(dtype_named("f23"), "no dtype 'f23'; there are f32, f64, bf16, f16, i32, u16, u8",
                       Error);
  CHECK_THROWS_WITH_AS(size_of(static_cast<DType>(7)), "dtype 7 is none", Error);
}

TEST_CASE("a row is rounded to bf16 as its numbers are, one by one") {
  // Ties, what rounds to infinity, numbers below the smallest normal one, NaN: each in every lane.
  const float edges[] = {1.0f,        0x1.01p0f,  0x1.03p0f, 0x1.02ffp0f, -0.0f,     0x1p-126f,
                         0x1.8p-127f, -0x1p-133f, 0x1p-134f, 0x1.8p-134f, 0x1p-149f, 3.4e38f,
                         HUGE_VALF,   -HUGE_VALF, NAN,       0x1.fffp-2f};
  constexpr int64_t n = 101;
  for (const float edge : edges)
    for (int64_t at = 0; at < n; ++at) {
      std::vector<float> row(n, 1.5f);
      row[at] = edge;
      std::vector<bf16> rounded(n);
      cpu::round_row(row.data(), n, rounded.data());
      CAPTURE(edge);
      CAPTURE(at);
      REQUIRE(std::ranges::equal(rounded, row, [](bf16 y, float x) { return y.bits == bf16(x).bits; }));
    }
}
