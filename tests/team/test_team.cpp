// The team of processes: what goes between them arrives, sums have one order, and a worker that dies, hangs
// or throws ends all of them with one line.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "team/processes.h"
#include "team/sum.h"
#include "tensor/check.h"
#include "tests/support/temporary_directory.h"

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

static std::vector<float> numbers_of(int rank, size_t count) {
  uint64_t state = 7 + static_cast<uint64_t>(rank);
  std::vector<float> numbers(count);
  // Of very different sizes, so that another order of the sum has other bits.
  for (float& x : numbers) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's
    x = static_cast<float>(static_cast<int32_t>(state >> 32)) * static_cast<float>(1 << (state >> 28) % 16);
  }
  return numbers;
}

TEST_CASE("an exchange brings any number of bytes both ways, and with several peers") {
  for (const int size : {2, 4, 8})
    in_team(size, [&](Team& team) {
      for (const size_t count : {size_t{0}, size_t{1}, size_t{65536}, size_t{65537}, size_t{500'000}})
        for (int distance = 1; distance < size; distance *= 2) {
          const int peer = team.rank() ^ distance;
          // One direction is longer than the other.
          const std::vector<float> mine = numbers_of(team.rank(), team.rank() < peer ? count : count / 3),
                                   theirs = numbers_of(peer, peer < team.rank() ? count : count / 3);
          std::vector<float> received(theirs.size());
          team.exchange(peer, std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(received)));
          check(received == theirs, "{} numbers at distance {} are not what was sent", count, distance);
        }
    });
}

TEST_CASE("gather, told, any and barrier") {
  in_team(8, [](Team& team) {
    const std::vector<int> squares = gather(team, team.rank() * team.rank());
    for (int i = 0; i < 8; ++i) check(squares[i] == i * i, "rank {} gave {}", i, squares[i]);
    check(told(team, std::string(team.rank() + 3, 'x')) == "xxx", "told");
    check(any(team, team.rank() == 5) && !any(team, false), "any");
    team.barrier();
  });
}

TEST_CASE("a team of one needs nobody") {
  CHECK(gather(alone(), 3) == std::vector<int>{3});
  CHECK(told(alone(), std::string("as it is")) == "as it is");
  CHECK(any(alone(), true));
  CHECK_NOTHROW(check_same(alone(), "the data", "x"));
  CHECK(parts_of(0, 1, 4).last == 4);
}

// Eight vectors, summed as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) by hand.
static std::vector<float> tree(int first, int count, size_t length) {
  if (count == 1) return numbers_of(first, length);
  std::vector<float> left = tree(first, count / 2, length);
  const std::vector<float> right = tree(first + count / 2, count / 2, length);
  for (size_t i = 0; i < length; ++i) left[i] += right[i];
  return left;
}

TEST_CASE("the sum of all is the binary tree's, bit for bit, and no more is sent than the formula says") {
  constexpr size_t length = 3 * 8 * 41000;  // of three places, each cut in 8 parts
  for (const int size : {1, 2, 4, 8})
    in_team(size, [&](Team& team) {
      // Each worker owns a subtree of the eight.
      std::vector<float> numbers = tree(team.rank() * (8 / size), 8 / size, length);
      const auto places = [&](int first, int last) {
        Places result;
        for (int part = first; part < last; ++part)
          for (size_t third = 0; third < 3; ++third)
            result.push_back(std::span(numbers).subspan(part * length / 8 + third * 41000, 41000));
        return result;
      };
      const int64_t before = team.bytes_sent();
      reduce_scatter(team, 8, places);
      all_gather(team, 8, places);
      check(numbers == tree(0, 8, length), "{} workers have another sum", size);
      check(team.bytes_sent() - before == all_reduce_bytes(length, size), "{} bytes sent, not {}",
            team.bytes_sent() - before, all_reduce_bytes(length, size));
    });
  // Another order has other bits, or this shows nothing.
  std::vector<float> in_a_row(length);
  for (int i = 0; i < 8; ++i) {
    const std::vector<float> next = numbers_of(i, length);
    for (size_t j = 0; j < length; ++j) in_a_row[j] += next[j];
  }
  CHECK(in_a_row != tree(0, 8, length));
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
          }).find(fmt::format("worker {} has ended, but worker {} still waits for it", 1 - late, late)) !=
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

TEST_CASE("a number of workers that is no power of two is refused") {
  CHECK(message([] { in_team(3, [](Team&) {}); }) == "3 workers: their number is a power of two, up to 64");
}
