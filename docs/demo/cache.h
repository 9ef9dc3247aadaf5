// A cache, simulated: which of the addresses that a loop reads and writes come from memory. 32 KiB in lines
// of 64 bytes, eight places for each line, and the one that was not used for longest goes.
#pragma once
#include <array>
#include <cstdint>

namespace chapbook {

class Cache {
 public:
  static constexpr int64_t line = 64, sets = 16, ways = 8;

  void touch(int64_t address) {
    const int64_t wanted = address / line;
    auto& set = set_[static_cast<size_t>(wanted % sets)];
    size_t at = 0;
    while (at < ways && set[at] != wanted) ++at;
    if (at == ways) ++misses, at = ways - 1;
    for (; at > 0; --at) set[at] = set[at - 1];  // the newest is in front
    set[0] = wanted;
  }

  int64_t misses = 0;

 private:
  std::array<std::array<int64_t, ways>, sets> set_ = [] {
    std::array<std::array<int64_t, ways>, sets> empty;
    for (auto& set : empty) set.fill(-1);
    return empty;
  }();
};

// An array of f32 that lies at some address and says what it is asked for.
struct Watched {
  Cache& cache;
  int64_t address;
  int64_t& uses;

  void at(int64_t i) const {
    cache.touch(address + 4 * i);
    ++uses;
  }
};

}  // namespace chapbook
