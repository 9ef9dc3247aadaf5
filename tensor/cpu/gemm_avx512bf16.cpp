// The product's innermost loop for pairs of bf16 with AVX512-BF16: an instruction takes as long as one on 16
// floats and does twice the multiply-adds. gemm_as_written.cpp says what it computes.
#include "tensor/cpu/gemm_kernel.h"

#ifdef __AVX512BF16__
#include <immintrin.h>

namespace chapbook::cpu {
namespace {

struct PairsOfBf16 {
  using Unit = Pair;
  typedef float Vector __attribute__((vector_size(64), aligned(4)));
  typedef int Units __attribute__((vector_size(64), aligned(2), may_alias));
  static constexpr int lanes = 16;
  static void multiply_add(Vector& sums, Pair a, const Units& b) {
    const auto left = _mm512_set1_epi32(__builtin_bit_cast(int, a));
    sums = _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(left), reinterpret_cast<__m512bh>(b));
  }
};

}  // namespace
constinit const MicroKernel<Pair> avx512bf16_kernel = Tables<PairsOfBf16, 2, 14>::kernel;
}  // namespace chapbook::cpu
#else
namespace chapbook::cpu {
constinit const MicroKernel<Pair> avx512bf16_kernel = {};
}
#endif
