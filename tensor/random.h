// Random numbers that can be replayed: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1,
// 2, 3", SC 2011). Number i of a draw depends only on the seed, the counter at its start and i, so every
// backend and any number of threads make the same.
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tensor/math.h"

namespace chapbook {

// Four random words for each pair of key and counter.
CHAPBOOK_DEVICE inline std::array<uint32_t, 4> philox(std::array<uint32_t, 2> key,
                                                      std::array<uint32_t, 4> counter) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0], b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9u;  // the golden ratio
    key[1] += 0xBB67AE85u;  // the square root of 3
  }
  return counter;
}

CHAPBOOK_DEVICE inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter) {
  return philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
                {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0});
}

// [0, 1) in steps of 2^-24, exact in f32.
CHAPBOOK_DEVICE inline double uniform_from(uint32_t word) { return (word >> 8) * 0x1p-24; }

// Number `i` of the draw that starts at `counter`: four numbers a counter value.
CHAPBOOK_DEVICE inline double uniform_at(uint64_t seed, uint64_t counter, int64_t i) {
  return uniform_from(philox(seed, counter + i / 4)[i % 4]);
}

// Box & Muller (1958): two uniform numbers make two normal ones.
CHAPBOOK_DEVICE inline double normal_at(uint64_t seed, uint64_t counter, int64_t i) {
  const auto words = philox(seed, counter + i / 4);
  const int pair = static_cast<int>(i % 4) & 2;
  const double radius = std::sqrt(-2 * std::log(1 - uniform_from(words[pair])));  // 1 - u: never the log of 0
  const double angle = 2 * 3.14159265358979323846 * uniform_from(words[pair + 1]);
  return radius * (i % 2 ? std::sin(angle) : std::cos(angle));
}

// A place in the stream of random numbers: the two numbers a checkpoint saves. Every draw moves the counter
// past what it used.
struct Random {
  uint64_t seed = 0;
  uint64_t counter = 0;

  // The counter of a draw of `count` numbers.
  uint64_t take(int64_t count) {
    const uint64_t start = counter;
    counter += static_cast<uint64_t>(count + 3) / 4;
    return start;
  }
  double uniform() { return uniform_at(seed, take(1), 0); }
  uint64_t below(uint64_t n) {  // an integer in 0..n-1; the bias of the 64-bit product is below n / 2^64
    const auto words = philox(seed, take(1));
    const uint64_t word = uint64_t{words[0]} << 32 | words[1];
    return static_cast<uint64_t>((static_cast<unsigned __int128>(word) * n) >> 64);
  }
};

// The numbers 0..n-1 in random order, each order equally likely: Fisher & Yates' shuffle (Knuth 1969,
// algorithm P). n < 2^31.
std::vector<int32_t> permutation(int64_t n, Random& random);

}  // namespace chapbook
