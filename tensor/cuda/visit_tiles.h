// Which tiles (tiles.h) a call of attention is made with.
#pragma once
#include "tensor/cuda/launch.h"
#include "tensor/cuda/row.h"
#include "tensor/cuda/tiles.h"

namespace chapbook {

template <int>
__global__ void nothing() {}

// Whether the kernels have tensor cores with fragments (fragment.h): what they were compiled for counts,
// which the device may exceed.
inline bool has_fragments() {
#ifdef __CUDACC__
  static const bool has = [] {
    cudaFuncAttributes attributes;
    check_cuda(cudaFuncGetAttributes(&attributes, nothing<0>), "attention");
    return attributes.ptxVersion >= 80;
  }();
  return has;
#else
  return true;
#endif
}

// Calls f(Type<Tiles>{}) for numbers of T. For heads of up to 64 numbers a warp of FragmentTiles has so many
// parts and a tile so many rows; beyond, one part and 32 rows, or the registers would not hold the sums.
template <class T, int parts, int columns, class F>
void visit_tiles(const char* op, int64_t D, F&& f) {
  check(D <= largest_head, "{}: heads of {} numbers; on a GPU at most {}", op, D, largest_head);
  if constexpr (sizeof(T) == 2)
    if (has_fragments()) {
      if (D == 32) return f(Type<FragmentTiles<T, 32, parts, columns>>{});
      if (D == 64) return f(Type<FragmentTiles<T, 64, parts, columns>>{});
      if (D == 128) return f(Type<FragmentTiles<T, 128, 1, 32>>{});
    }
  if (D <= 64)
    f(Type<PlainTiles<T, 64>>{});
  else
    f(Type<PlainTiles<T, largest_head>>{});
}

}  // namespace chapbook
