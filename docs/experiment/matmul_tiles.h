// A tile of y of 32 columns and a number of rows of choice, with its sums in variables: as in
// bench/ladder/matmul_kernel.h, but for the number of rows.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace chapbook {

using TileOf = void (*)(int64_t k, const float* a, const float* b, float* y);

#pragma GCC push_options
#pragma GCC optimize("O3")
// region: tile
template <int rows>
void multiply_tile(int64_t k, const float* a, const float* b, float* y) {
  typedef float Vector __attribute__((vector_size(64), aligned(4)));
  Vector tile[rows][2] = {};
  for (int64_t p = 0; p < k; ++p, a += rows, b += 32) {
    const Vector left = *reinterpret_cast<const Vector*>(b), right = *reinterpret_cast<const Vector*>(b + 16);
#pragma GCC unroll 32
    for (int r = 0; r < rows; ++r) tile[r][0] += a[r] * left, tile[r][1] += a[r] * right;
  }
#pragma GCC unroll 32
  for (int r = 0; r < rows; ++r) {
    *reinterpret_cast<Vector*>(y + 32 * r) = tile[r][0];
    *reinterpret_cast<Vector*>(y + 32 * r + 16) = tile[r][1];
  }
}
// endregion
#pragma GCC pop_options

inline std::vector<std::pair<int, TileOf>> tile_products() {
  return {{1, multiply_tile<1>},   {2, multiply_tile<2>},   {3, multiply_tile<3>},   {4, multiply_tile<4>},
          {6, multiply_tile<6>},   {8, multiply_tile<8>},   {10, multiply_tile<10>}, {12, multiply_tile<12>},
          {14, multiply_tile<14>}, {16, multiply_tile<16>}, {18, multiply_tile<18>}, {20, multiply_tile<20>},
          {24, multiply_tile<24>}};
}

}  // namespace chapbook
