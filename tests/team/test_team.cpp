// The team of processes: what goes between them arrives, sums have one order, and a worker that dies, hangs
// or throws ends all of them with one line.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "team/processes.h"
#include "tests/support/temporary_directory.h"
#include "tests/team/members.h"

using namespace chapbook;

// Workers cannot fail a CHECK of this process: what they find wrong they throw, and it comes out here.
static void in_team(int size, const std::function<void(ProcessTeam&)>& work) {
  const int code = run_processes(size, [&](const Place& place) {
    ProcessTeam team(place);
    work(team);
    return 0;
  });
  CHECK(code == 0);
}

static std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("an exchange brings any number of bytes both ways, and with several peers") {
  for (const int size : {2, 4, 8}) in_team(size, check_exchanges);
}

TEST_CASE("gather, told, any and barrier") { in_team(8, check_calls); }

TEST_CASE("a team of one needs nobody") {
  CHECK(gather(alone(), 3) == std::vector<int>{3});
  CHECK(told(alone(), std::string("as it is")) == "as it is");
  CHECK(any(alone(), true));
  CHECK_NOTHROW(check_same(alone(), "the data", "x"));
  CHECK(parts_of(0, 1, 4).last == 4);
}

TEST_CASE("the sum of all is the binary tree's, bit for bit, and no more is sent than the formula says") {
  for (const int size : {1, 2, 4, 8})
    for (const bool courier : {false, true}) in_team(size, [&](Team& team) { check_sums(team, courier); });
  // Another order has other bits, or this shows nothing.
  std::vector<float> in_a_row(sum_length);
  for (int i = 0; i < 8; ++i) {
    const std::vector<float> next = numbers_of(i, sum_length);
    for (size_t j = 0; j < sum_length; ++j) in_a_row[j] += next[j];
  }
  CHECK(in_a_row != tree(0, 8, sum_length));
}

TEST_CASE("a number of bytes that is not expected is an error, as is what an errand throws") {
  for (const size_t given : {size_t{500}, size_t{2000}})
    CHECK(message([&] { in_team(2, [&](Team& team) { exchange_lengths(team, 1000, given); }); }) ==
          fmt::format("exchange: worker 1 gives {} bytes where worker 0 expects 1000", given));
  CHECK(message([] {
          in_team(2, [](Team& team) {
            Courier courier(team);
            courier.send([](Team& same) { exchange_lengths(same, 1000, 500); });
            courier.wait();
          });
        }) == "exchange: worker 1 gives 500 bytes where worker 0 expects 1000");
}

TEST_CASE("a worker that ends well while others wait for it is named; one that is done early is not missed") {
  const auto start = std::chrono::steady_clock::now();
  const std::string line = message([] {
    in_team(4, [](Team& team) {
      team.barrier();
      if (team.rank() != 2) team.barrier();
    });
  });
  CAPTURE(line);
  CHECK(line.find("worker 2 has ended although worker ") != line.npos);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  in_team(4, [](Team& team) {
    team.barrier();
    std::this_thread::sleep_for(std::chrono::milliseconds(100 * team.rank()));
  });
}

TEST_CASE("each worker answers for other parts, and all for all") {
  for (const int size : {1, 2, 4, 8}) {
    std::vector<int> owners(16);
    for (int rank = 0; rank < size; ++rank)
      for (int part = parts_of(rank, size, 16).first; part < parts_of(rank, size, 16).last; ++part)
        ++owners[part];
    CHECK(owners == std::vector<int>(16, 1));
  }
  CHECK(message([] { parts_of(0, 4, 2); }) == "2 parts cannot be shared by 4 workers");
}

TEST_CASE("what is not the same in all is refused by all, with the worker's name") {
  CHECK(message([] {
          in_team(4, [](Team& team) { check_same(team, "the data", team.rank() == 2 ? "b" : "a"); });
        }) == "worker 2 has not the same as worker 0: the data");
}

TEST_CASE("a worker that throws ends all, with its words") {
  CHECK(message([] {
          in_team(4, [](Team& team) {
            check(team.rank() != 3, "no room on the disk");
            team.barrier();
          });
        }) == "worker 3: no room on the disk");
  CHECK(message([] { in_team(2, [](Team&) { fail("the loss is nan"); }); }) == "the loss is nan");
}

TEST_CASE("who waits for a worker that has ended well says so, and takes what it gave before") {
  ::alarm(240);  // a worker that waits for ever makes this one wait, too
  for (const int late : {0, 1}) {
    CAPTURE(late);
    const auto start = std::chrono::steady_clock::now();
    CHECK(message([&] {
            in_team(2, [&](Team& team) {
              team.barrier();
              if (team.rank() != late) return;  // while the other goes on
              team.barrier();
            });
          }).find(fmt::format("worker {} has ended although worker {} still waits for it", 1 - late, late)) !=
          std::string::npos);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  }
  in_team(2, [](Team& team) {  // one takes the other's last words long after its end
    team.barrier();
    if (team.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    check(told(team, std::string("the last words")) == "the last words", "other words");
  });
  ::alarm(0);
}

TEST_CASE("a worker that is killed or stopped is named within five seconds, and nothing is left behind") {
  for (const int signal : {SIGKILL, SIGSTOP}) {
    const TemporaryDirectory directory;
    const auto start = std::chrono::steady_clock::now();
    const std::string line = message([&] {
      in_team(4, [&](Team& team) {
        std::ofstream(directory / std::to_string(team.rank())) << ::getpid();
        team.barrier();
        while (true) {
          if (team.rank() == 1) ::raise(signal);
          team.barrier();
        }
      });
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    CAPTURE(line);
    CHECK(line.starts_with("worker 1 (process "));
    CHECK(line.find(signal == SIGKILL ? ") was killed by signal 9" : ") has not run for 4 seconds") !=
          line.npos);
    CHECK(seconds.count() < 5);
    for (int rank = 0; rank < 4; ++rank) {
      pid_t process = 0;
      std::ifstream(directory / std::to_string(rank)) >> process;
      CHECK(process > 0);
      CHECK(::kill(process, 0) != 0);
    }
  }
}

TEST_CASE("workers die with the process that watches them") {
  const TemporaryDirectory directory;
  const pid_t watcher = ::fork();
  if (watcher == 0) {
    run_processes(2, [&](const Place& place) {
      ProcessTeam team(place);
      std::ofstream(directory / std::to_string(team.rank())) << ::getpid();
      team.barrier();
      if (team.rank() == 0) ::kill(::getppid(), SIGKILL);
      std::this_thread::sleep_for(std::chrono::seconds(60));
      return 0;
    });
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(watcher, &status, 0);
  CHECK(WIFSIGNALED(status));
  for (int rank = 0; rank < 2; ++rank) {
    pid_t process = 0;
    std::ifstream(directory / std::to_string(rank)) >> process;
    REQUIRE(process > 0);
    const auto gone = [&] {  // or waits for whoever inherited it to ask
      std::ifstream stat(fmt::format("/proc/{}/stat", process));
      std::string id, name, state;
      return !(stat >> id >> name >> state) || state == "Z";
    };
    for (int i = 0; i < 200 && !gone(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(gone());
  }
}

// Of this process's threads that are started from now on.
static std::vector<int> cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::vector<int> found;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) found.push_back(core);
  return found;
}

TEST_CASE("each worker takes cores of its own where there are enough, and its share of the threads") {
  const std::vector<int> all = cores();
  for (const int size : {1, 2, 4})
    for (const int threads : {1, 8})
      in_team(size, [&](Team& team) {
        check(take_cores(team, threads) == std::max(1, threads / size), "not its share of the threads");
        const size_t each = all.size() / static_cast<size_t>(size);
        const auto own = std::span(all).subspan(each * static_cast<size_t>(team.rank()), each);
        check(std::ranges::equal(cores(), each > 0 ? own : std::span(all)), "not its share of the cores");
      });
}

TEST_CASE("a number of workers that is no power of two is refused") {
  CHECK(message([] { in_team(3, [](Team&) {}); }) == "3 workers: their number is a power of two, up to 64");
}
