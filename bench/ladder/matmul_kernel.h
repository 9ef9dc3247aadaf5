// The kernel of rungs 6 and 7: a tile in vectors. The type is GCC's and clang's vector extension: + and *
// work on all lanes, and the compiler makes of them what the machine has.
#pragma once
#include <cstdint>

namespace chapbook::ladder {

// As large a tile as there are registers for, with those that hold a row of b and a number of a. A tile with
// few sums also would not keep the multipliers busy: a sum is ready for the next addition after 4 cycles, and
// one or two can begin each cycle.
struct VectorTile {
#if defined(__AVX512F__)
  static constexpr int lanes = 16, rows = 12, vectors = 2;  // 24 of 32 registers
#elif defined(__AVX2__)
  static constexpr int lanes = 8, rows = 6, vectors = 2;  // 12 of 16
#else
  static constexpr int lanes = 4, rows = 4, vectors = 2;  // 8 of 16 or more, in any x86-64 or ARM processor
#endif
  static constexpr int columns = vectors * lanes;
  typedef float Vector __attribute__((vector_size(4 * lanes)));

  static void multiply(int64_t k, const float* a, const float* b, float (&sums)[rows][columns]) {
    const Vector* right = reinterpret_cast<const Vector*>(b);
    Vector tile[rows][vectors] = {};
    for (int64_t p = 0; p < k; ++p, a += rows, right += vectors)
      for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) tile[r][v] += a[r] * right[v];
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) reinterpret_cast<Vector*>(sums[r])[v] = tile[r][v];
  }
};

}  // namespace chapbook::ladder
