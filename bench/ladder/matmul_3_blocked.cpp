// Rung 3 cuts b into blocks that stay in the cache while all rows of a pass by.
//
// Why it is faster: a number of b comes from memory once in all, not once for each row of a.
// What limits it: the rows of a block lie n numbers apart. They share few sets of the cache when n is a large
// power of two, and each lies in a page of its own, which the address translation must hold.
#include <algorithm>

#include "bench/ladder/matmul.h"

namespace chapbook::ladder {

void matmul_blocked(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  constexpr int64_t k_block = 64, n_block = 512;  // 128 KiB of b
  std::fill(y, y + m * n, 0.0f);
  for (int64_t j0 = 0; j0 < n; j0 += n_block)
    for (int64_t p0 = 0; p0 < k; p0 += k_block) {
      const int64_t j1 = std::min(n, j0 + n_block), p1 = std::min(k, p0 + k_block);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t p = p0; p < p1; ++p)
          for (int64_t j = j0; j < j1; ++j) y[i * n + j] += a[i * k + p] * b[p * n + j];
    }
}

}  // namespace chapbook::ladder
