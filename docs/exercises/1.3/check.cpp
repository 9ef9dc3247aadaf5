// The numbers around the end of f16.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/dtype.h"

using namespace chapbook;

static void check_rounding(float x, float wanted) {
  const auto got = static_cast<float>(f16(x));
  if (!(got == wanted)) FAIL(fmt::format("{} becomes {} in f16; wanted is {}", x, got, wanted));
}

TEST_CASE("small and ordinary numbers") {
  for (const float x : {0.0f, 1.0f, -2.5f, 2048.0f, 0x1p-24f, 65504.0f, -65504.0f}) check_rounding(x, x);
  check_rounding(2049, 2048);
  check_rounding(2051, 2052);
  check_rounding(0x1p-25f, 0);
}

TEST_CASE(
    "f16 counts in steps of 32 there: up to half a step past 65,504 is nearer to 65,504 than to 65,536") {
  check_rounding(65510, 65504);
  check_rounding(-65510, -65504);
  check_rounding(65519.99f, 65504);
}

TEST_CASE("from half a step on it is infinity: 65,536 is not there, and half-way goes to the even one") {
  check_rounding(65520, INFINITY);
  check_rounding(-65520, -INFINITY);
  check_rounding(65530, INFINITY);
  check_rounding(1e6f, INFINITY);
  check_rounding(INFINITY, INFINITY);
}

TEST_CASE("a NaN stays a NaN") { CHECK(std::isnan(static_cast<float>(f16(std::nanf(""))))); }
