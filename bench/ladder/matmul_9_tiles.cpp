// Rung 9 multiplies tiles: 16 rows of 16 pairs by 16 pairs of 16 columns in one instruction
// (tensor/cpu/gemm_amx.cpp, with the loop in gemm_tiles.h).
//
// Why it is faster: an instruction does 8,192 multiply-adds in 16 cycles, where rung 8's does 32 a cycle or
// two: 8 times as many and more. What it multiplies is read once from a tile, not once for each row of y.
// What limits it: bringing tiles. With four sums, each tile that is loaded is multiplied twice, so a load of
// 1 KiB is due every 16 cycles; only from the first caches does it come in time.
#include "bench/ladder/matmul.h"
#include "bench/ladder/matmul_pairs.h"

namespace chapbook::ladder {

void matmul_tiles(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  multiply_pairs(cpu::has_amx() ? cpu::amx_kernel : cpu::amx_as_written_kernel, m, n, k, a, b, y);
}

}  // namespace chapbook::ladder
