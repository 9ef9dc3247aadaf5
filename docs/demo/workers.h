// What chapter 23 shows and measures: sums over workers as a beginner writes them, and a link that is as slow
// as one likes.
#pragma once
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "team/sum.h"

namespace chapbook {

// A number that knows how it was added up: for the tables of the chapter.
struct Term {
  std::string text;
  friend Term operator+(const Term& a, const Term& b) { return {"(" + a.text + " + " + b.text + ")"}; }
};

template <class T>
using OfWorkers = std::vector<std::vector<T>>;  // [worker][number]

// region: ring
// Part p begins at worker p + 1 and goes once around; each adds what it has. Worker p ends with its sum.
template <class T>
std::vector<T> ring(const OfWorkers<T>& of) {
  const size_t N = of.size(), length = of[0].size() / N;
  std::vector<T> sum;
  for (size_t i = 0; i < of[0].size(); ++i) {
    const size_t part = i / length;
    T so_far = of[(part + 1) % N][i];
    for (size_t step = 2; step <= N; ++step) so_far = so_far + of[(part + step) % N][i];
    sum.push_back(so_far);
  }
  return sum;
}
// endregion

// region: halving
struct Range {
  size_t first, last;
};

// At distance d, two workers cut what they both have sums of in halves, and each adds up one.
template <class T>
void halve(OfWorkers<T>& of, std::vector<Range>& has, size_t d) {
  const OfWorkers<T> before = of;
  for (size_t r = 0; r < of.size(); ++r) {
    auto& [first, last] = has[r];
    ((r & d) == 0 ? last : first) = (first + last) / 2;
    for (size_t i = first; i < last; ++i) of[r][i] = before[r & ~d][i] + before[r | d][i];
  }
}
// endregion

// region: whole
// Everybody gets the sum: at distance d, two workers tell each other all that they have.
inline void add_up_whole(Team& team, std::vector<float>& mine) {
  std::vector<float> theirs(mine.size());
  for (int d = 1; d < team.size(); d *= 2) {
    team.exchange(team.rank() ^ d, std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(theirs)));
    for (size_t i = 0; i < mine.size(); ++i) mine[i] += theirs[i];
  }
}
// endregion

// A team whose exchanges take as long as on a link of so many bytes a second. Who waits for a wire uses no
// processor, so this one sleeps.
class Slowed : public Team {
 public:
  Slowed(Team& team, double latency, double bytes_per_second)
      : team_(team), latency_(latency), bytes_per_second_(bytes_per_second) {}
  int rank() const override { return team_.rank(); }
  int size() const override { return team_.size(); }

 private:
  void swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) override {
    const auto start = std::chrono::steady_clock::now();
    team_.exchange(peer, send, receive);
    const double bytes = static_cast<double>(std::max(send.size(), receive.size()));
    std::this_thread::sleep_until(start +
                                  std::chrono::duration_cast<std::chrono::nanoseconds>(
                                      std::chrono::duration<double>(latency_ + bytes / bytes_per_second_)));
  }

  Team& team_;
  double latency_, bytes_per_second_;
};

}  // namespace chapbook
