#include "team/team.h"

#include <algorithm>
#include <chrono>

#include "tensor/check.h"

namespace chapbook {

using Clock = std::chrono::steady_clock;

void Team::exchange(int peer, std::span<const std::byte> send, std::span<std::byte> receive) {
  const auto start = Clock::now();
  swap(peer, send, receive);
  bytes_sent_ += static_cast<int64_t>(send.size());
  seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
}

// Recursive doubling: at distance d each worker has what the d workers of its group have.
void Team::gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  const size_t length = mine.size();
  check(all.size() == length * size(), "gather: {} bytes of {} workers do not fill {}", length, size(),
        all.size());
  std::ranges::copy(mine, all.begin() + length * rank());
  for (int distance = 1; distance < size(); distance *= 2) {
    const int peer = rank() ^ distance;
    const auto group_of = [&](int worker) {
      return all.subspan(length * (worker / distance * distance), length * distance);
    };
    exchange(peer, group_of(rank()), group_of(peer));
  }
}

Team& alone() {
  static Alone team;
  return team;
}

std::string told(Team& team, const std::string& by_rank_0) {
  std::string text = by_rank_0;
  text.resize(told(team, by_rank_0.size()));
  std::string all(text.size() * team.size(), '\0');
  team.gather(std::as_bytes(std::span(text)), std::as_writable_bytes(std::span(all)));
  all.resize(text.size());
  return all;
}

bool any(Team& team, bool here) {
  const std::vector<char> all = gather(team, static_cast<char>(here));
  return std::ranges::find(all, 1) != all.end();
}

void check_same(Team& team, const std::string& what, const std::string& here) {
  const std::string of_0 = told(team, here);
  const std::vector<char> same = gather(team, static_cast<char>(of_0 == here));
  const auto other = std::ranges::find(same, 0);
  check(other == same.end(), "worker {} has not the same as worker 0: {}", other - same.begin(), what);
}

}  // namespace chapbook
