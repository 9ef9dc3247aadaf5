// Warm-up and cosine: the corners first, then the way between them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "optim/schedule.h"

using namespace chapbook;

static void check_rate(const std::string& what, double got, double wanted) {
  if (!(std::abs(got - wanted) <= 1e-12))
    FAIL(fmt::format("{} is {:.6g}; wanted is {:.6g}", what, got, wanted));
}

TEST_CASE("the rise: step 0 moves already, and a straight line leads to the rate") {
  const Schedule schedule = warmup_cosine(1, 0.1, 4, 24);
  for (int64_t step = 0; step <= 4; ++step)
    check_rate(fmt::format("with 4 steps of warm-up to 1, step {}", step), schedule(step),
               0.2 + 0.2 * static_cast<double>(step));
}

TEST_CASE("the fall: half a cosine from the rate to the last rate") {
  const Schedule schedule = warmup_cosine(1, 0.1, 4, 24);
  for (const int64_t step : {4, 9, 14, 19, 24}) {
    const double way = static_cast<double>(step - 4) / 20;
    check_rate(fmt::format("with 4 steps of warm-up, 24 in all and a last rate of 0.1, step {}", step),
               schedule(step), 0.1 + 0.9 * (1 + std::cos(std::numbers::pi * way)) / 2);
  }
}

TEST_CASE("after the end the last rate stays") {
  for (const int64_t step : {24, 25, 1000})
    check_rate(fmt::format("24 steps to a last rate of 0.1, step {}", step),
               warmup_cosine(1, 0.1, 4, 24)(step), 0.1);
}

TEST_CASE("without warm-up it begins with the rate") {
  check_rate("no warm-up, step 0", warmup_cosine(0.5, 0, 0, 10)(0), 0.5);
  check_rate("no warm-up, half-way", warmup_cosine(0.5, 0, 0, 10)(5), 0.25);
}
