// Rounding to bf16, against the two neighbours of a number.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/dtype.h"

using namespace chapbook;

static float rounded(float x) { return static_cast<float>(bf16(x)); }

static void check_rounding(float x, float wanted) {
  const float got = rounded(x);
  if (!(got == wanted) || std::signbit(got) != std::signbit(wanted))
    FAIL(fmt::format("{} becomes {}; wanted is {}", x, got, wanted));
}

TEST_CASE("what bf16 can hold stays as it is") {
  for (const float x : {0.0f, -0.0f, 1.0f, -1.5f, 256.0f, 0x1p-126f, 0x1p-133f, 0x1.fep127f})
    check_rounding(x, x);
}

TEST_CASE("between two neighbours, the nearer one") {
  check_rounding(256.9f, 256);  // its neighbours are 256 and 258
  check_rounding(257.1f, 258);
  check_rounding(-257.1f, -258);
  check_rounding(1.0039f, 1);  // 1 and 1.0078125
  check_rounding(1.004f, 1.0078125f);
}

TEST_CASE("half-way, the even one: the one whose last bit is 0") {
  check_rounding(257, 256);
  check_rounding(259, 260);
  check_rounding(-259, -260);
}

TEST_CASE("a fraction that rounds up past its end goes on in the exponent") {
  check_rounding(511.5f, 512);
  check_rounding(0x1.fffp-1f, 1);
}

TEST_CASE("infinity stays, and what lies past the largest becomes it") {
  check_rounding(INFINITY, INFINITY);
  check_rounding(-INFINITY, -INFINITY);
  check_rounding(0x1.ffp127f, INFINITY);  // half-way to where the next number would be
  check_rounding(-0x1.fffp127f, -INFINITY);
}

TEST_CASE("a NaN stays a NaN, also one whose bits are all in the lower half") {
  for (const uint32_t bits : {0x7fc00000u, 0x7f800001u, 0xff800001u, 0x7fffffffu})
    if (const float got = rounded(std::bit_cast<float>(bits)); !std::isnan(got))
      FAIL(fmt::format("the NaN with the bits {:08x} becomes {}", bits, got));
}
