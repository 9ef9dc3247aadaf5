// Schedules against PyTorch's and nanoGPT's (tests/golden/optim.py), and at their corners.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "optim/schedule.h"
#include "tensor/check.h"

using namespace chapbook;

TEST_CASE("schedules give the rates of PyTorch's schedulers") {
  // PyTorch multiplies its way from step to step and gathers a few roundings of f64.
  const double tolerance = 1e-12;
  const std::map<std::string, Schedule> ours{
      {"constant", constant(0.1)},
      {"linear(8)", linear(0.1, 0.01, 8)},
      {"cosine(8)", cosine(0.1, 0.01, 8)},
      {"cosine_restarts(5)", cosine_restarts(0.1, 0.01, 5)},
      {"cosine_restarts(3, growth 2)", cosine_restarts(0.1, 0.01, 3, 2)},
      {"warmup_cosine(4, 20)", warmup_cosine(0.1, 0.01, 4, 20)},
      {"warmup_cosine(0, 6)", warmup_cosine(0.1, 0.01, 0, 6)},
      {"warmup_stable_decay(4, 8, 20)", warmup_stable_decay(0.1, 0.01, 4, 8, 20)},
      {"chain(cosine(8) for 8, linear(8))", chain({{cosine(0.1, 0.01, 8), 8}, {linear(0.1, 0.01, 8), 0}})},
  };
  const auto golden =
      nlohmann::json::parse(std::ifstream(CHAPBOOK_SOURCE_DIR "/tests/golden/optim/schedules.json"));
  CHECK(golden.size() == ours.size());
  for (const auto& [name, schedule] : ours) {
    const std::vector<double> expected = golden.at(name);
    for (size_t step = 0; step < expected.size(); ++step) {
      CAPTURE(name);
      CAPTURE(step);
      CHECK(std::abs(schedule(static_cast<int64_t>(step)) / expected[step] - 1) <= tolerance);
    }
  }
}

TEST_CASE("a growth that is no whole number") {
  // Periods of 2, 3 and 4.5 steps: they start at 0, 2 and 5, and step 9 is 4 into the third.
  const Schedule schedule = cosine_restarts(1, 0, 2, 1.5);
  for (const int64_t start : {0, 2, 5}) CHECK(schedule(start) == 1);
  CHECK(schedule(1) == doctest::Approx(0.5));
  CHECK(schedule(3) == doctest::Approx(0.75));
  CHECK(schedule(9) == doctest::Approx(0.5 * (1 + std::cos(3.14159265358979 * 4 / 4.5))));
  CHECK(schedule(10) == doctest::Approx(0.5 * (1 + std::cos(3.14159265358979 * 0.5 / 6.75))));
}

TEST_CASE("no steps: the end at once") {
  CHECK(linear(1, 0.5, 0)(0) == 0.5);
  CHECK(cosine(1, 0.5, 0)(0) == 0.5);
  CHECK(warmup_cosine(1, 0.5, 3, 3)(2) == 0.75);
  CHECK(warmup_cosine(1, 0.5, 3, 3)(3) == 0.5);
  CHECK(warmup_stable_decay(1, 0.5, 0, 0, 0)(0) == 0.5);
}

TEST_CASE("long after the end nothing changes") {
  const int64_t late = 1'000'000'000'000;
  CHECK(constant(1)(late) == 1);
  CHECK(linear(1, 0.5, 10)(late) == 0.5);
  CHECK(warmup_cosine(1, 0.5, 2, 10)(late) == 0.5);
  CHECK(warmup_stable_decay(1, 0.5, 2, 4, 10)(late) == 0.5);
}

TEST_CASE("a chain of three, in which each counts from 0") {
  const auto count = [](int64_t step) { return static_cast<double>(step); };
  const Schedule schedule = chain({{count, 2}, {constant(7), 0}, {count, 3}, {count, 1}});
  std::vector<double> values;
  for (int64_t step = 0; step < 8; ++step) values.push_back(schedule(step));
  CHECK(values == std::vector<double>{0, 1, 0, 1, 2, 0, 1, 2});
}
