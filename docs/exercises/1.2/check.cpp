// Sums that carry along what they lose, in f32 and in f64.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "docs/demo/sums.h"

using namespace chapbook;

template <class T>
static void check_sum(const std::string& what, const std::vector<T>& x, double wanted, double tolerance) {
  const T got = compensated_sum(std::span<const T>(x));
  if (!(std::abs(static_cast<double>(got) - wanted) <= tolerance * std::abs(wanted)))
    FAIL(fmt::format("{}: the sum is {}; wanted is {}, within a share of {:.0e}", what, got, wanted,
                     tolerance));
}

TEST_CASE("nothing, one number, and numbers without rounding") {
  CHECK(compensated_sum(std::span<const float>()) == 0);
  check_sum<float>("(2.5)", {2.5f}, 2.5, 0);
  check_sum<float>("(1, 2, 3, -10)", {1, 2, 3, -10}, -4, 0);
}

TEST_CASE("twice 1 on top of 2^24, where f32 counts in twos") {
  check_sum<float>("(16777216, 1, 1)", {16777216, 1, 1}, 16777218, 0);
  check_sum<float>("(16777216, 1, 1, 1, 1)", {16777216, 1, 1, 1, 1}, 16777220, 0);
}

TEST_CASE("four million times 0.1 in f32") {
  check_sum<float>("4,000,000 times 0.1", std::vector<float>(4000000, 0.1f),
                   4000000 * static_cast<double>(0.1f), 2 * 0x1p-24);
}

TEST_CASE("1, then 2^-24 ten times, in 1, 2, 4, ... 512 parts: adding in pairs loses it each time") {
  std::vector<float> x = {1};
  for (size_t parts = 1; parts <= 512; parts *= 2)
    x.insert(x.end(), parts, 0x1p-24f / static_cast<float>(parts));
  check_sum<float>("1 and ten times 2^-24", x, 1 + 10 * 0x1p-24, 2 * 0x1p-24);
}

TEST_CASE("the same in f64: ten thousand times 2^-53 on top of 1") {
  std::vector<double> x(10001, 0x1p-53);
  x[0] = 1;
  check_sum<double>("1 and 10,000 times 2^-53", x, 1 + 10000 * 0x1p-53, 2 * 0x1p-53);
}
