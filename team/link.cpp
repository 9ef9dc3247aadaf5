#include "team/link.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace chapbook {

using Clock = std::chrono::steady_clock;

Link measure_link(Team& team) {
  constexpr int little = 100, much = 8;
  constexpr size_t bytes = 4 << 20;
  std::vector<std::byte> given(bytes), taken(bytes);
  Link link{0, 1e300};
  for (int distance = 1; distance < team.size(); distance *= 2) {
    const int peer = team.rank() ^ distance;
    const auto seconds = [&](int times, size_t length) {
      const auto exchange = [&] {
        team.exchange(peer, std::span(std::as_const(given)).first(length), std::span(taken).first(length));
      };
      exchange();  // the first also finds memory and ways
      team.barrier();
      const auto start = Clock::now();
      for (int i = 0; i < times; ++i) exchange();
      const double here = std::chrono::duration<double>(Clock::now() - start).count() / times;
      return std::ranges::max(gather(team, here));
    };
    link.latency = std::max(link.latency, seconds(little, 1));
    link.bytes_per_second =
        std::min(link.bytes_per_second, static_cast<double>(bytes) / seconds(much, bytes));
  }
  return link;
}

double half_all_reduce_seconds(const Link& link, int64_t numbers, int64_t pieces, int size) {
  int exchanges = 0;
  for (int distance = 1; distance < size; distance *= 2) ++exchanges;
  return static_cast<double>(pieces * exchanges) * link.latency +
         4.0 * static_cast<double>(numbers) * (size - 1) / size / link.bytes_per_second;
}

StepSeconds step_seconds(double computing, double last_backward, const Link& link, int64_t numbers,
                         int64_t pieces, int size) {
  const double half = half_all_reduce_seconds(link, numbers, pieces, size);
  const double last_piece = half / static_cast<double>(std::max<int64_t>(1, pieces));
  return {computing, half, half, std::max(0.0, std::min(half - last_piece, last_backward))};
}

}  // namespace chapbook
