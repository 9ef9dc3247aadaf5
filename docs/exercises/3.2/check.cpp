// exp for float, against the C library's for double.
#include "tensor/check.h"  // first, so that the hole in the header can say what it is

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/math.h"

using namespace chapbook;

TEST_CASE("a few numbers one knows") {
  for (const auto& [x, wanted] :
       {std::pair{0.0f, 1.0}, {1.0f, 2.718281828}, {-1.0f, 0.3678794412}, {0.6931472f, 2.0}})
    if (const double got = math::exp(x); !(std::abs(got / wanted - 1) <= 3e-7))
      FAIL(fmt::format("exp({}) is {:.8g}; wanted is {:.8g}", x, got, wanted));
}

TEST_CASE("within 2 units in the last place, from -86 to 88") {
  for (int i = 0; i <= 200'000; ++i) {
    const float x = -86.0f + 174.0f * static_cast<float>(i) / 2e5f;
    const double right = std::exp(double{x}), unit = std::ldexp(1, std::ilogb(right) - 23);
    const double off = std::abs(double{math::exp(x)} - right) / unit;
    if (!(off <= 2)) FAIL(fmt::format("exp({}) is off by {:.3g} units in the last place", x, off));
  }
}

TEST_CASE("beyond both ends") {
  for (const float x : {-88.5f, -100.0f, -1e30f, -HUGE_VALF})
    if (math::exp(x) != 0) FAIL(fmt::format("exp({}) is {}, not 0", x, math::exp(x)));
  for (const float x : {88.9f, 100.0f, 1e30f, HUGE_VALF})
    if (math::exp(x) != HUGE_VALF) FAIL(fmt::format("exp({}) is {}, not infinity", x, math::exp(x)));
}

TEST_CASE("NaN stays NaN") {
  if (const float got = math::exp(std::nanf("")); !std::isnan(got))
    FAIL(fmt::format("exp(NaN) is {}, not NaN", got));
}
