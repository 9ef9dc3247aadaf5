// Products with packed matrices for processors with AVX-512 and its VNNI: one instruction multiplies 64 bytes
// by four bytes of a row and adds the products of four to each of 16 sums.
#include "tensor/cpu/packed_kernel.h"

#ifdef __AVX512VNNI__
#include <immintrin.h>

namespace chapbook::cpu {
namespace {
struct Lanes {
  static constexpr int width = 16;
  typedef float Floats __attribute__((vector_size(64), aligned(4)));
  typedef int32_t Ints __attribute__((vector_size(64), aligned(4)));
  static Ints dot(Ints sum, const uint8_t* b, const int8_t* a) {
    int32_t four;
    __builtin_memcpy(&four, a, 4);
    return (Ints)_mm512_dpbusd_epi32((__m512i)sum, _mm512_loadu_si512(b), _mm512_set1_epi32(four));
  }
  static Floats fma(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
};
}  // namespace
constinit const PackedKernel packed_avx512_kernel = PackedTables<Lanes, 6>::kernel("avx512vnni");
}  // namespace chapbook::cpu
#else
namespace chapbook::cpu {
constinit const PackedKernel packed_avx512_kernel{"avx512vnni", 0, nullptr, nullptr};  // never chosen
}
#endif
