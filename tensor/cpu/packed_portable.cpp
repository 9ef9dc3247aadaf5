// Products with packed matrices for any processor, with vectors of 4 numbers, which SSE2 and NEON have.
#include "tensor/cpu/packed_kernel.h"

namespace chapbook::cpu {
namespace {
struct Lanes {
  static constexpr int width = 4;
  typedef float Floats __attribute__((vector_size(16), aligned(4)));
  typedef int32_t Ints __attribute__((vector_size(16), aligned(4)));
  static Ints dot(Ints sum, const uint8_t* b, const int8_t* a) {
    for (int lane = 0; lane < width; ++lane)
      for (int i = 0; i < 4; ++i) sum[lane] += b[lane * 4 + i] * a[i];
    return sum;
  }
  static Floats fma(Floats x, Floats y, Floats z) {
    for (int lane = 0; lane < width; ++lane) z[lane] = __builtin_fmaf(x[lane], y[lane], z[lane]);
    return z;
  }
};
}  // namespace
constinit const PackedKernel packed_portable_kernel = PackedTables<Lanes, 2>::kernel("portable");
}  // namespace chapbook::cpu
