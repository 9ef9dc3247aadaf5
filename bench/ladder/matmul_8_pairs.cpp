// Rung 8 rounds the numbers to bf16 and multiplies them in pairs (tensor/cpu/gemm_avx512bf16.cpp).
//
// Why it is faster: an instruction of rung 6 multiplies 16 numbers by one and adds; one of these multiplies
// 16 pairs by a pair and adds both products, in the same time where the multipliers are built for it (Zen 4,
// and Intel's from Cooper Lake on). A number also takes half the room in caches and on the way to them. What
// limits it: the same things as before, twice as soon. And 8 bits are left of each operand's fraction: the
// result differs from rung 7's by a thousandth, not a millionth. Sums are f32 as before.
#include "bench/ladder/matmul.h"
#include "bench/ladder/matmul_pairs.h"

namespace chapbook::ladder {

void matmul_pairs(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y) {
  multiply_pairs(cpu::has_avx512bf16() ? cpu::avx512bf16_kernel : cpu::avx512bf16_as_written_kernel, m, n, k,
                 a, b, y);
}

}  // namespace chapbook::ladder
