// Rung 5 computes y in tiles whose sums live in registers while a panel of a and a panel of b run past; only
// then is the tile added to y.
//
// Why it is faster: a tile of r x c does r c multiply-adds for the r + c numbers it loads, and y is touched
// once for each block of k. Both operands are packed, so that all it loads lies in a row.
// What limits it: how loops become vectors and registers is left to the compiler. Of this tile g++ 12 makes
// what it should; of 4 x 16 it makes something ten times slower, and without its vectoriser 4 x 32 numbers
// have no place in the registers.
#include "bench/ladder/matmul.h"
#include "bench/ladder/panels.h"

namespace chapbook::ladder {

namespace {

struct Tile {
  static constexpr int rows = 4, columns = 32;

  static void multiply(int64_t k, const float* a, const float* b, float (&sums)[rows][columns]) {
    float tile[rows][columns] = {};
    for (int64_t p = 0; p < k; ++p, a += rows, b += columns)
      for (int r = 0; r < rows; ++r)
        for (int c = 0; c < columns; ++c) tile[r][c] += a[r] * b[c];
    for (int r = 0; r < rows; ++r) std::copy_n(tile[r], columns, sums[r]);
  }
};

}  // namespace

void matmul_register_tile(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  multiply_panels<Tile>(m, n, k, a, b, y, one_by_one);
}

}  // namespace chapbook::ladder
