// The loss scale of f16.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "optim/scaler.h"

using namespace chapbook;

static void check_scale(const std::string& what, const LossScaler& scaler, double wanted) {
  if (!(scaler.scale == wanted))
    FAIL(fmt::format("{}: the scale is {}; wanted is {}", what, scaler.scale, wanted));
}
static void good(LossScaler& scaler, int64_t steps) {
  for (int64_t i = 0; i < steps; ++i) scaler.update(true);
}

TEST_CASE("a step that is not finite halves the scale, each time") {
  LossScaler scaler;
  scaler.update(false);
  check_scale("one bad step", scaler, 32768);
  scaler.update(false);
  check_scale("two bad steps", scaler, 16384);
}

TEST_CASE("patience good steps in a row double it, and not one less") {
  LossScaler scaler;
  good(scaler, LossScaler::patience - 1);
  check_scale("1,999 good steps", scaler, 65536);
  good(scaler, 1);
  check_scale("2,000 good steps", scaler, 131072);
}

TEST_CASE("after it has changed, the count begins again") {
  LossScaler scaler;
  good(scaler, LossScaler::patience + LossScaler::patience - 1);
  check_scale("3,999 good steps", scaler, 131072);
  good(scaler, 1);
  check_scale("4,000 good steps", scaler, 262144);
  scaler.update(false);
  good(scaler, LossScaler::patience - 1);
  check_scale("then a bad one, and 1,999 good ones", scaler, 131072);
  good(scaler, 1);
  check_scale("and one more", scaler, 262144);
}

TEST_CASE("a bad step in the middle: the good ones before it do not count") {
  LossScaler scaler;
  good(scaler, 1000);
  scaler.update(false);
  good(scaler, LossScaler::patience - 1);
  check_scale("1,000 good steps, a bad one, and 1,999 good ones", scaler, 32768);
}
