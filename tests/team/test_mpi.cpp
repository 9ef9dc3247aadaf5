// The engine over MPI, where it is installed: the same checks as with the processes of one machine, by
// workers that mpirun starts. Where it is not, the test says so; with REQUIRE_MPI it fails.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "tests/support/mpi.h"
#include "tests/support/shell.h"

using namespace chapbook;

#ifdef CHAPBOOK_MPI_MEMBER
static Outcome members(int size, const std::string& scenario) {
  return shell(fmt::format("{} -n {} {} {}", mpirun, size, CHAPBOOK_MPI_MEMBER, scenario));
}
#else
static Outcome members(int, const std::string&) { return {}; }
#endif

TEST_CASE("mpi: what is exchanged arrives, and the sum of all is the tree's, by 1 to 8 workers") {
  if (!has_mpi()) return;
  for (const int size : {1, 2, 4, 8}) {
    const auto [code, output] = members(size, "all");
    CAPTURE(output);
    CHECK(code == 0);
    CHECK(output == "good\n");
  }
}

TEST_CASE("mpi: a number of bytes that is not expected is a line, not an abort of MPI's") {
  if (!has_mpi()) return;
  for (const char* scenario : {"longer", "shorter"}) {
    const auto [code, output] = members(2, scenario);
    CAPTURE(output);
    CHECK(code != 0);
    CHECK(output.find(
              "chapbook: exchange: worker 1 gives another number of bytes than worker 0 expects, 1000") !=
          output.npos);
  }
}

TEST_CASE("mpi: who ends while others wait is named, and who is done waits for those who are not") {
  if (!has_mpi()) return;
  const auto [code, output] = members(4, "leaves");
  CAPTURE(output);
  CHECK(code != 0);
  CHECK(output.find("worker 3 has ended although worker") != output.npos);
  CHECK(members(4, "late").code == 0);
  CHECK(members(4, "same").output.find("chapbook: worker 3 has not the same as worker 0: the data") !=
        std::string::npos);
  const auto odd = members(3, "all");
  CHECK(odd.code != 0);
  CHECK(odd.output.find("3 workers: their number is a power of two") != std::string::npos);
}

TEST_CASE("mpi: a worker that is killed or stopped ends all within five seconds") {
  if (!has_mpi()) return;
  for (const char* scenario : {"killed", "stopped"}) {
    CAPTURE(scenario);
    const double start_up = [] {
      const auto start = std::chrono::steady_clock::now();
      members(4, "late");
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }();
    const auto start = std::chrono::steady_clock::now();
    const auto [code, output] = members(4, scenario);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    CAPTURE(output);
    CHECK(code != 0);
    // A killed one is mpirun's to name, which sees it die.
    CHECK(output.find(scenario == std::string("killed") ? "signal 9" : "worker 3 has not been heard for") !=
          output.npos);
    CHECK(seconds.count() < 5 + 2 * start_up);
  }
}
