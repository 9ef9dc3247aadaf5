// Rung 6 says in vectors what rung 5 left to the compiler: see matmul_kernel.h.
//
// Why it is faster: where the compiler guessed right, it hardly is, but now the code says what runs. The tile
// is as large as the registers allow, so that a load serves many multiply-adds: with AVX-512, 24 of them need
// 14 loads, where a tile of 4 x 32 needs 18.
// What limits it: the multipliers, at last. What is missing to the peak goes into packing, adding tiles to y,
// and edges.
#include "bench/ladder/matmul.h"
#include "bench/ladder/matmul_kernel.h"
#include "bench/ladder/panels.h"

namespace chapbook::ladder {

void matmul_vectors(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  multiply_panels<VectorTile>(m, n, k, a, b, y, one_by_one);
}

}  // namespace chapbook::ladder
