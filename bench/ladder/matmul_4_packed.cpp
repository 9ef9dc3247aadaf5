// Rung 4 copies each block of b to where its rows lie one behind the other.
//
// Why it is faster: often it is not, yet. The block takes as many cache lines and pages as it has bytes,
// whatever n is, and the next rung reads it in another order than b has. The copy is read once for each row
// of a, so its cost vanishes as m grows.
// What limits it: for each multiply-add the loop loads a vector of b, loads one of y and stores it again. The
// unit that multiplies waits for loads and stores, wherever in the caches the numbers lie.
#include <algorithm>

#include "bench/ladder/matmul.h"

namespace chapbook::ladder {

void matmul_packed(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  constexpr int64_t k_block = 64, n_block = 512;
  alignas(64) thread_local float block[k_block * n_block];  // from the start of a cache line
  std::fill(y, y + m * n, 0.0f);
  for (int64_t j0 = 0; j0 < n; j0 += n_block)
    for (int64_t p0 = 0; p0 < k; p0 += k_block) {
      const int64_t columns = std::min(n_block, n - j0), rows = std::min(k_block, k - p0);
      for (int64_t p = 0; p < rows; ++p) std::copy_n(b + (p0 + p) * n + j0, columns, block + p * columns);
      for (int64_t i = 0; i < m; ++i) {
        const float* a_row = a + i * k + p0;
        float* y_row = y + i * n + j0;
        for (int64_t p = 0; p < rows; ++p)
          for (int64_t j = 0; j < columns; ++j) y_row[j] += a_row[p] * block[p * columns + j];
      }
    }
}

}  // namespace chapbook::ladder
