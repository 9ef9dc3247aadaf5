// Rung 1, the definition: y[i, j] is the dot product of row i of a and column j of b.
//
// What limits it: a column of b takes one number from each cache line it touches, so all of b comes through
// the caches for every row of a, and in steps of a page the prefetcher does not help. Each addition also
// waits for the one before (4 cycles), as the compiler may not reorder a sum.
#include "bench/ladder/matmul.h"

namespace chapbook::ladder {

void matmul_naive(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      y[i * n + j] = sum;
    }
}

}  // namespace chapbook::ladder
