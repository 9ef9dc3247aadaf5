// What each worker of a team checks for itself, whatever the engine: it cannot fail a CHECK of the process
// that started it, so what it finds wrong it throws.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "team/courier.h"
#include "team/sum.h"
#include "tensor/check.h"

namespace chapbook {

inline std::vector<float> numbers_of(int rank, size_t count) {
  uint64_t state = 7 + static_cast<uint64_t>(rank);
  std::vector<float> numbers(count);
  // Of very different sizes, so that another order of the sum has other bits.
  for (float& x : numbers) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's
    x = static_cast<float>(static_cast<int32_t>(state >> 32)) * static_cast<float>(1 << (state >> 28) % 16);
  }
  return numbers;
}

// Any number of bytes goes both ways, and between several peers.
inline void check_exchanges(Team& team) {
  for (const size_t count :
       {size_t{0}, size_t{1}, size_t{65536}, size_t{65537}, size_t{262144}, size_t{600'000}})
    for (int distance = 1; distance < team.size(); distance *= 2) {
      const int peer = team.rank() ^ distance;
      // One direction is longer than the other.
      const std::vector<float> mine = numbers_of(team.rank(), team.rank() < peer ? count : count / 3),
                               theirs = numbers_of(peer, peer < team.rank() ? count : count / 3);
      std::vector<float> received(theirs.size());
      team.exchange(peer, std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(received)));
      check(received == theirs, "{} numbers at distance {} are not what was sent", count, distance);
    }
}

// What is made of exchanges.
inline void check_calls(Team& team) {
  const std::vector<int> squares = gather(team, team.rank() * team.rank());
  for (int i = 0; i < team.size(); ++i) check(squares[i] == i * i, "rank {} gave {}", i, squares[i]);
  check(told(team, std::string(team.rank() + 3, 'x')) == "xxx", "told");
  check(any(team, team.rank() == team.size() - 1) && !any(team, false), "any");
  team.barrier();
}

// Eight vectors, summed as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) by hand.
inline std::vector<float> tree(int first, int count, size_t length) {
  if (count == 1) return numbers_of(first, length);
  std::vector<float> left = tree(first, count / 2, length);
  const std::vector<float> right = tree(first + count / 2, count / 2, length);
  for (size_t i = 0; i < length; ++i) left[i] += right[i];
  return left;
}

constexpr size_t sum_length = 3 * 8 * 41000;  // of three places, each cut in 8 parts

// Each of 1 to 8 workers owns a subtree of the eight. With `courier`, another thread adds up.
inline void check_sums(Team& team, bool courier) {
  const int size = team.size();
  std::vector<float> numbers = tree(team.rank() * (8 / size), 8 / size, sum_length);
  const auto places = [&](int first, int last) {
    Places result;
    for (int part = first; part < last; ++part)
      for (size_t third = 0; third < 3; ++third)
        result.push_back(std::span(numbers).subspan(part * sum_length / 8 + third * 41000, 41000));
    return result;
  };
  const int64_t before = team.bytes_sent();
  if (courier) {
    Courier thread(team);
    thread.send([&](Team& same) { reduce_scatter(same, 8, places); });
    thread.send([&](Team& same) { all_gather(same, 8, places); });
    thread.wait();
  } else {
    reduce_scatter(team, 8, places);
    all_gather(team, 8, places);
  }
  check(numbers == tree(0, 8, sum_length), "{} workers have another sum", size);
  check(team.bytes_sent() - before == all_reduce_bytes(sum_length, size), "{} bytes sent, not {}",
        team.bytes_sent() - before, all_reduce_bytes(sum_length, size));
}

// Worker 0 expects so many bytes, and worker 1 gives so many.
inline void exchange_lengths(Team& team, size_t expected, size_t given) {
  std::vector<std::byte> mine(given), theirs(expected);
  if (team.rank() == 0) team.exchange(1, {}, theirs);
  if (team.rank() == 1) team.exchange(0, mine, {});
  team.barrier();
}

}  // namespace chapbook
