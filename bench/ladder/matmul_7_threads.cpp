// Rung 7 shares out the packing of b, then the blocks of rows of a.
//
// Why it is faster: as many cores multiply as there are. Who computes which block changes no sum, so the bits
// are those of rung 6, whatever the number of threads.
// What limits it: two waits for the slowest thread for each block of b, which small products feel; cores that
// share the third cache and slow their clock when all are busy.
#include "bench/ladder/matmul.h"
#include "bench/ladder/matmul_kernel.h"
#include "bench/ladder/panels.h"
#include "tensor/cpu/thread_pool.h"

namespace chapbook::ladder {

void matmul_threads(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  multiply_panels<VectorTile>(m, n, k, a, b, y, [](int64_t count, auto&& f) { parallel_for(count, 1, f); });
}

}  // namespace chapbook::ladder
