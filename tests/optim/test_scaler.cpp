// The loss scale of f16: down at once, up after many good steps.
#include <doctest/doctest.h>

#include <cmath>

#include "optim/scaler.h"

using namespace chapbook;

TEST_CASE("an overflow halves the scale; 2000 good steps in a row double it") {
  LossScaler scaler;
  CHECK(scaler.scale == 65536);
  scaler.update(false);
  scaler.update(false);
  CHECK(scaler.scale == 16384);
  for (int i = 0; i < 1999; ++i) scaler.update(true);
  CHECK(scaler.scale == 16384);
  scaler.update(true);
  CHECK(scaler.scale == 32768);
  CHECK(scaler.good_steps == 0);
  for (int i = 0; i < 1999; ++i) scaler.update(true);
  scaler.update(false);  // the count starts again
  CHECK(scaler.scale == 16384);
  scaler.update(true);
  CHECK(scaler.scale == 16384);
  CHECK(scaler.good_steps == 1);
}

TEST_CASE("scaled by a power of two and back, a number keeps its bits") {
  LossScaler scaler;
  for (int i = 0; i < 30; ++i) {
    const float x = 0.1f * static_cast<float>(scaler.scale);
    CHECK(x / static_cast<float>(scaler.scale) == 0.1f);
    scaler.update(false);
  }
}
