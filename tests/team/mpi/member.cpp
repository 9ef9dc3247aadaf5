// What mpirun starts in each place for tests/team/test_mpi.cpp: a worker that does what it is told and says
// "good", once for all of them. member SCENARIO.
#include <fmt/core.h>

#include <csignal>
#include <memory>
#include <thread>

#include "team/mpi.h"
#include "tests/team/members.h"

using namespace chapbook;

static void act(Team& team, const std::string& scenario) {
  const bool last = team.rank() == team.size() - 1;
  if (scenario == "all") {
    check_exchanges(team);
    check_calls(team);
    check_sums(team, false);
    check_sums(team, true);
  } else if (scenario == "longer") {
    exchange_lengths(team, 1000, 2000);
  } else if (scenario == "shorter") {
    exchange_lengths(team, 1000, 500);
  } else if (scenario == "same") {
    check_same(team, "the data", last ? "b" : "a");
  } else if (scenario == "leaves") {
    team.barrier();
    if (!last) team.barrier();
  } else if (scenario == "late") {  // others may have longer to do
    team.barrier();
    if (team.rank() == 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  } else if (scenario == "killed" || scenario == "stopped") {
    team.barrier();
    if (last) std::raise(scenario == "killed" ? SIGKILL : SIGSTOP);
    while (true) team.barrier();
  } else {
    fail("member: there is no scenario '{}'", scenario);
  }
}

int main(int argc, char** argv) {
  std::unique_ptr<MpiTeam> team;
  try {
    team = mpi_team();
  } catch (const Error& error) {
    fmt::print(stderr, "chapbook: {}\n", error.what());
    return 2;
  }
  try {
    act(*team, argc == 2 ? argv[1] : "");
  } catch (const Error& error) {
    team->end_all(error.what());
  }
  if (team->rank() == 0) fmt::print("good\n");
}
