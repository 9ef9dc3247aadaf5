// Products with packed matrices for processors with AVX2 and FMA. Its product of bytes adds pairs in 16 bits
// and would overflow, so bytes become numbers of 16 bits first.
#include "tensor/cpu/packed_kernel.h"

#ifdef __AVX2__
#include <immintrin.h>

namespace chapbook::cpu {
namespace {
struct Lanes {
  static constexpr int width = 8;
  typedef float Floats __attribute__((vector_size(32), aligned(4)));
  typedef int32_t Ints __attribute__((vector_size(32), aligned(4)));
  // Of four bytes in a row, the first and the third, then the second and the fourth.
  static Ints dot(Ints sum, const uint8_t* b, const int8_t* a) {
    const __m256i fours = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)),
                  low = _mm256_set1_epi16(255);
    const auto pair = [&](int first, int second) {
      return _mm256_set1_epi32(
          static_cast<int32_t>(static_cast<uint16_t>(a[first]) | static_cast<uint32_t>(a[second]) << 16));
    };
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256(fours, low), pair(0, 2));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(fours, 8), pair(1, 3));
    return sum + (Ints)_mm256_add_epi32(even, odd);
  }
  static Floats fma(Floats x, Floats y, Floats z) { return _mm256_fmadd_ps(x, y, z); }
};
}  // namespace
constinit const PackedKernel packed_avx2_kernel = PackedTables<Lanes, 2>::kernel("avx2");
}  // namespace chapbook::cpu
#else
namespace chapbook::cpu {
constinit const PackedKernel packed_avx2_kernel{"avx2", 0, nullptr, nullptr};  // never chosen
}
#endif
