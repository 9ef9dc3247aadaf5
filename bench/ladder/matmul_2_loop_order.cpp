// Rung 2 swaps the two inner loops: row i of y is a sum of rows of b, each times one number of a.
//
// Why it is faster: the inner loop runs along rows, every number of a fetched line is used, and n independent
// sums replace one chain, so the compiler may vectorise (it checks first that y and b do not overlap).
// What limits it: all of b still comes through the caches for every row of a: once b outgrows the second
// cache, this runs at the speed of the third, or of memory.
#include <algorithm>

#include "bench/ladder/matmul.h"

namespace chapbook::ladder {

void matmul_loop_order(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  for (int64_t i = 0; i < m; ++i) {
    std::fill(y + i * n, y + (i + 1) * n, 0.0f);
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < n; ++j) y[i * n + j] += a[i * k + p] * b[p * n + j];
  }
}

}  // namespace chapbook::ladder
