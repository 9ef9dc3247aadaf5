// Draws one after the other never share a number, and leave no counter out.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>

#include "tensor/random.h"

using namespace chapbook;

TEST_CASE("a draw begins where the counter stands") {
  Random random{1, 10};
  CHECK(random.take(4) == 10);
}

TEST_CASE("two draws share no number") {
  for (const int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 13}) {
    Random random{1};
    std::set<double> seen;
    for (int draw = 0; draw < 2; ++draw) {
      const uint64_t start = random.take(count);
      for (int64_t i = 0; i < count; ++i) seen.insert(uniform_at(random.seed, start, i));
    }
    if (seen.size() != static_cast<size_t>(2 * count))
      FAIL(fmt::format("two draws of {} numbers have {} different ones, not {}", count, seen.size(),
                       2 * count));
  }
}

TEST_CASE("a draw takes as many values of the counter as it needs, and no more") {
  for (const auto& [count, wanted] : {std::pair{0, 0}, {1, 1}, {4, 1}, {5, 2}, {8, 2}, {9, 3}}) {
    Random random{1};
    random.take(count);
    if (random.counter != static_cast<uint64_t>(wanted))
      FAIL(
          fmt::format("a draw of {} numbers moves the counter by {}, not {}", count, random.counter, wanted));
  }
}
