// Philox: what its authors give as answers, and what must hold of any.
#include "tensor/check.h"  // first, so that the hole in the header can say what it is

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <set>

#include "tensor/random.h"

using namespace chapbook;

using Words = std::array<uint32_t, 4>;

static void check_words(const char* what, const Words& got, const Words& wanted) {
  for (size_t i = 0; i < 4; ++i)
    if (got[i] != wanted[i])
      FAIL(fmt::format("{}: word {} is {:08x}; wanted is {:08x}", what, i, got[i], wanted[i]));
}

TEST_CASE("the answers of its authors (Random123, kat_vectors)") {
  check_words("key and counter 0", philox({0, 0}, {0, 0, 0, 0}),
              {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  check_words("all bits 1", philox({~0u, ~0u}, {~0u, ~0u, ~0u, ~0u}),
              {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  check_words("digits of pi",
              philox({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
              {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("different counters, different words") {
  std::set<Words> seen;
  for (uint32_t i = 0; i < 10000; ++i) seen.insert(philox({1, 2}, {i, 0, 0, 0}));
  CHECK(seen.size() == 10000);
}

TEST_CASE("one bit of the counter changes about half of the bits") {
  double changed = 0;
  for (uint32_t bit = 0; bit < 32; ++bit) {
    const Words a = philox({5, 6}, {7, 8, 9, 10}), b = philox({5, 6}, {7u ^ (1u << bit), 8, 9, 10});
    for (size_t i = 0; i < 4; ++i) changed += std::popcount(a[i] ^ b[i]) / 32.0;
  }
  CHECK(std::abs(changed - 64) <= 6);  // the mean of 32 counts with a deviation of 5.7 each
}
