// A transposing kernel on the simt machine: right, without a race, and within its budget of sectors and
// banks.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "docs/demo/transpose.h"
#include "tensor/simt/counters.h"
#include "tensor/simt/memory.h"

using namespace chapbook;

namespace {

// n floats where kernels may touch them.
struct Floats {
  explicit Floats(size_t n)
      : bytes(n * sizeof(float)), data(static_cast<float*>(simt::allocate_global(bytes))) {
    simt::hand_out(data, bytes);
  }
  ~Floats() { simt::release_global(data); }
  Floats(const Floats&) = delete;
  size_t bytes;
  float* data;
};

simt::Counters run(int rows, int columns) {
  const auto n = static_cast<size_t>(rows * columns);
  std::vector<float> numbers(n), got(n);
  for (size_t i = 0; i < n; ++i) numbers[i] = static_cast<float>(i);
  const Floats x(n), y(n);
  std::memcpy(x.data, numbers.data(), x.bytes);
  simt::global_memory().set_written(x.data, x.bytes);
  simt::start_counting();
  launch<transpose>(grid_of_tiles(rows, columns), static_cast<const float*>(x.data), y.data, rows, columns);
  simt::stop_counting();
  std::memcpy(got.data(), y.data, y.bytes);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      const float is = got[static_cast<size_t>(c * rows + r)],
                  wanted = numbers[static_cast<size_t>(r * columns + c)];
      if (!(is == wanted))
        FAIL(fmt::format("({}, {}): number ({}, {}) of y, counted from 0, is {}; wanted is {}", rows, columns,
                         c, r, is, wanted));
    }
  return simt::counters().begin()->second;
}

void check_budget(int rows, int columns) {
  const simt::Counters c = run(rows, columns);
  const int64_t least = 2 * int64_t{rows} * columns * 4 / 32;
  if (!(c.sectors <= least))
    FAIL(fmt::format("({}, {}): {} sectors of global memory, {:.0f} for each request; {} are enough, 4 each",
                     rows, columns, c.sectors, c.sectors_per_request(), least));
  if (!(c.bank_conflicts == 0))
    FAIL(fmt::format("({}, {}): {} bank conflicts, lanes of a warp that wait for each other at one bank",
                     rows, columns, c.bank_conflicts));
}

}  // namespace

TEST_CASE("one tile, right and within its sectors and banks") { check_budget(32, 32); }
TEST_CASE("several tiles") { check_budget(64, 96); }
TEST_CASE("edges: a matrix that no tile divides") {
  run(33, 70);
  run(1, 40);
  run(40, 1);
}
