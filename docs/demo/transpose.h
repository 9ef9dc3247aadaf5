// A matrix transposed on a GPU, two ways, for chapter 6, which counts what they do.
#pragma once
#include "tensor/cuda/launch.h"

namespace chapbook {

// y (columns, rows) = x (rows, columns) transposed. Each block of 32 by 8 threads takes a tile of 32 by 32
// numbers, and each thread 4 of them.
// region: directly
static __global__ void transpose_directly(const float* x, float* y, int rows, int columns) {
  const int row = static_cast<int>(blockIdx.y * 32 + threadIdx.y),
            column = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  for (int i = 0; i < 32; i += 8)
    if (row + i < rows && column < columns) y[column * rows + row + i] = x[(row + i) * columns + column];
}
// endregion

// Along rows of x into a tile that the block shares, and from there along rows of y. Rows of the tile are 33
// apart, so that a column of it has one number in each bank.
static __global__ void transpose(const float* x, float* y, int rows, int columns) {
  CHAPBOOK_SHARED(float, tile, [32][33]);
  const int first_row = static_cast<int>(blockIdx.y * 32), first_column = static_cast<int>(blockIdx.x * 32),
            across = static_cast<int>(threadIdx.x), down = static_cast<int>(threadIdx.y);
  for (int i = down; i < 32; i += 8)
    if (first_row + i < rows && first_column + across < columns)
      tile[i][across] = x[(first_row + i) * columns + first_column + across];
  __syncthreads();
  for (int i = down; i < 32; i += 8)
    if (first_column + i < columns && first_row + across < rows)
      y[(first_column + i) * rows + first_row + across] = tile[across][i];
}

// For either kernel.
inline Grid grid_of_tiles(int rows, int columns) {
  return {{blocks_for(columns, 32), blocks_for(rows, 32)}, {32, 8}};
}

}  // namespace chapbook
