// The engine over NCCL, with a stand-in for it: the same checks as with the other engines. What this cannot
// show is anything about a GPU.
#include <doctest/doctest.h>

#include <cstdlib>

#include "team/nccl/nccl_team.h"
#include "tests/support/thread_team.h"
#include "tests/team/members.h"

using namespace chapbook;

TEST_CASE("nccl, on a stand-in: what is exchanged arrives, and the sum of all is the tree's") {
  for (const int size : {1, 2, 4, 8})
    CHECK_NOTHROW(in_threads(size, [](Team& meeting) {
      const std::unique_ptr<Team> team = nccl_team(meeting);
      check_exchanges(*team);
      check_calls(*team);
      check_sums(*team, false);
      check_sums(*team, true);
    }));
}

TEST_CASE("nccl, on a stand-in: a peer that is lost is named") {
  ::setenv("NCCL_STAND_IN_LOSES", "1", 1);
  std::string message;
  try {
    in_threads(2, [](Team& meeting) { nccl_team(meeting)->barrier(); });
  } catch (const Error& error) {
    message = error.what();
  }
  ::unsetenv("NCCL_STAND_IN_LOSES");
  CHECK(message.starts_with("worker 1 is lost to worker 0: "));
}
