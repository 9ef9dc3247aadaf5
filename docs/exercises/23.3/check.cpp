// What each worker has of the others after a gather.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/thread_team.h"

using namespace chapbook;

static void check_gather(int size) {
  try {
    in_threads(size, [&](Team& team) {
      const std::vector<int> all = gather(team, 10 + team.rank());
      for (int from = 0; from < size; ++from)
        check(all[from] == 10 + from, "{} workers: worker {} gave {}, and worker {} has {} in its place",
              size, from, 10 + from, team.rank(), all[from]);
    });
  } catch (const std::exception& error) {
    FAIL(std::string(error.what()));
  }
}

TEST_CASE("one and two workers") {
  check_gather(1);
  check_gather(2);
}
TEST_CASE("four workers") { check_gather(4); }
TEST_CASE("eight workers") { check_gather(8); }
