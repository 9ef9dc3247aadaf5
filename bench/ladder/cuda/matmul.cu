// A matrix product, y = a b, with a (m, k) and b (k, n). Each number of y takes 2k operations on 2k numbers:
// unless numbers are used many times where they have been brought, memory decides.
#include "bench/ladder/cuda/rungs.h"
#include "tensor/cuda/fragment.h"
#include "tensor/cuda/launch.h"

namespace chapbook::ladder {
namespace {

// A thread for each number of y, neighbouring threads in one column: a warp reads 32 rows of a, and writes 32
// of y, a row apart.
__global__ void matmul_columns(const float* a, const float* b, float* y, int64_t m, int64_t n, int64_t k) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                j = int64_t{blockIdx.y} * blockDim.y + threadIdx.y;
  if (i >= m || j >= n) return;
  float sum = 0;
  for (int64_t p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
  y[i * n + j] = sum;
}

// Neighbouring threads in one row: the warp reads one number of a, and 32 of b that lie side by side.
__global__ void matmul_rows(const float* a, const float* b, float* y, int64_t m, int64_t n, int64_t k) {
  const int64_t i = int64_t{blockIdx.y} * blockDim.y + threadIdx.y,
                j = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= m || j >= n) return;
  float sum = 0;
  for (int64_t p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
  y[i * n + j] = sum;
}

// A block brings a tile of a and one of b into shared memory, and each number there is used 32 times: 32
// times less from global memory. What limits it now is shared memory: two reads for each multiply-add.
constexpr int side = 32;
__global__ void matmul_tiles(const float* a, const float* b, float* y, int64_t m, int64_t n, int64_t k) {
  CHAPBOOK_SHARED(float, a_tile, [side][side]);
  CHAPBOOK_SHARED(float, b_tile, [side][side]);
  const int64_t i = int64_t{blockIdx.y} * side + threadIdx.y, j = int64_t{blockIdx.x} * side + threadIdx.x;
  float sum = 0;
  for (int64_t p = 0; p < k; p += side) {
    a_tile[threadIdx.y][threadIdx.x] = i < m && p + threadIdx.x < k ? a[i * k + p + threadIdx.x] : 0;
    b_tile[threadIdx.y][threadIdx.x] = p + threadIdx.y < k && j < n ? b[(p + threadIdx.y) * n + j] : 0;
    __syncthreads();
    for (int l = 0; l < side; ++l) sum += a_tile[threadIdx.y][l] * b_tile[l][threadIdx.x];
    __syncthreads();  // nobody overwrites the tiles before all have read them
  }
  if (i < m && j < n) y[i * n + j] = sum;
}

// Each thread computes 4 by 4 numbers of y in registers: 8 reads of shared memory for 16 multiply-adds. Its
// rows and columns lie 16 apart, so that a warp's reads fall into different banks and its writes lie side by
// side.
constexpr int tile = 64, depth = 16, each = 4, across = tile / each;
__global__ void __launch_bounds__(across* across)
    matmul_registers(const float* a, const float* b, float* y, int64_t m, int64_t n, int64_t k) {
  CHAPBOOK_SHARED(float, a_tile, [depth][tile + 1]);  // + 1: it is written by columns
  CHAPBOOK_SHARED(float, b_tile, [depth][tile]);
  const int64_t row = int64_t{blockIdx.y} * tile, column = int64_t{blockIdx.x} * tile;
  const int x = threadIdx.x % across, z = threadIdx.x / across;
  float sums[each][each] = {};
  for (int64_t p = 0; p < k; p += depth) {
    for (int e = threadIdx.x; e < tile * depth; e += across * across) {
      const int64_t i = row + e / depth, l = p + e % depth;
      a_tile[e % depth][e / depth] = i < m && l < k ? a[i * k + l] : 0;
    }
    for (int e = threadIdx.x; e < tile * depth; e += across * across) {
      const int64_t l = p + e / tile, j = column + e % tile;
      b_tile[e / tile][e % tile] = l < k && j < n ? b[l * n + j] : 0;
    }
    __syncthreads();
    for (int l = 0; l < depth; ++l) {
      float left[each], right[each];
      for (int i = 0; i < each; ++i) left[i] = a_tile[l][z + across * i];
      for (int j = 0; j < each; ++j) right[j] = b_tile[l][x + across * j];
      for (int i = 0; i < each; ++i)
        for (int j = 0; j < each; ++j) sums[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < each; ++i)
    for (int j = 0; j < each; ++j) {
      const int64_t at_row = row + z + across * i, at_column = column + x + across * j;
      if (at_row < m && at_column < n) y[at_row * n + at_column] = sums[i][j];
    }
}

// Tensor cores: a warp multiplies 16 by 16 with 16 by 8 numbers in one instruction. They take bf16, so a and
// b are rounded on their way into shared memory, and products are summed in f32. Four warps share a tile of
// 64 by 64; each has a quarter of 32 by 32 of it.
constexpr int padded = 8;  // half numbers more in a row: eight rows of 16 bytes lie in different banks
__global__ void __launch_bounds__(128)
    matmul_tensor_cores(const float* a, const float* b, float* y, int64_t m, int64_t n, int64_t k) {
  CHAPBOOK_SHARED(bf16, a_tile, [tile][depth + padded]);
  CHAPBOOK_SHARED(bf16, b_tile, [depth][tile + padded]);
  const int64_t row = int64_t{blockIdx.y} * tile, column = int64_t{blockIdx.x} * tile;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
  // Which row of which 8 by 8 matrix this lane names when four of them are loaded.
  const int line = lane % 16, half = lane / 16 * 8;
  float sums[2][4][4] = {};  // of 2 by 4 fragments of 16 by 8
  for (int64_t p = 0; p < k; p += depth) {
    for (int e = threadIdx.x; e < tile * depth; e += 128) {
      const int64_t i = row + e / depth, l = p + e % depth;
      a_tile[e / depth][e % depth] = bf16(i < m && l < k ? a[i * k + l] : 0.0f);
    }
    for (int e = threadIdx.x; e < tile * depth; e += 128) {
      const int64_t l = p + e / tile, j = column + e % tile;
      b_tile[e / tile][e % tile] = bf16(l < k && j < n ? b[l * n + j] : 0.0f);
    }
    __syncthreads();
    uint32_t left[2][4], right[2][4];
    for (int i = 0; i < 2; ++i) load_matrices(left[i], &a_tile[warp_row + 16 * i + line][half]);
    for (int j = 0; j < 2; ++j) load_matrices<true>(right[j], &b_tile[line][warp_column + 16 * j + half]);
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 4; ++j) {
        const uint32_t(&r)[4] = right[j / 2];
        const uint32_t of_columns[2] = {r[j % 2 * 2], r[j % 2 * 2 + 1]};
        mma_16x8x16<bf16>(sums[i][j], left[i], of_columns);
      }
    __syncthreads();
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int e = 0; e < 4; ++e) {
        const int64_t at_row = row + warp_row + 16 * i + lane / 4 + e / 2 * 8;
        const int64_t at_column = column + warp_column + 8 * j + lane % 4 * 2 + e % 2;
        if (at_row < m && at_column < n) y[at_row * n + at_column] = sums[i][j][e];
      }
}

template <auto kernel>
void run(std::span<const View> xs, const View& y, dim3 blocks, dim3 threads) {
  launch<kernel>({blocks, threads}, xs[0].as<const float>(), xs[1].as<const float>(), y.as<float>(),
                 y.shape[0], y.shape[1], xs[0].shape[1]);
}
void run_columns(Backend&, std::span<const View> xs, const View& y) {
  run<matmul_columns>(xs, y, {blocks_for(y.shape[0], 32), blocks_for(y.shape[1], 8)}, {32, 8});
}
void run_rows(Backend&, std::span<const View> xs, const View& y) {
  run<matmul_rows>(xs, y, {blocks_for(y.shape[1], 32), blocks_for(y.shape[0], 8)}, {32, 8});
}
template <auto kernel, int side>
void run_tiles(Backend&, std::span<const View> xs, const View& y) {
  constexpr unsigned threads = kernel == matmul_registers ? across * across : 128;
  run<kernel>(xs, y, {blocks_for(y.shape[1], side), blocks_for(y.shape[0], side)},
              side == ladder::side ? dim3(side, side) : dim3(threads));
}

}  // namespace

const CudaLadder matmul_ladder{"matmul",
                               {{"columns", "a thread for each number", run_columns},
                                {"rows", "neighbouring threads in one row", run_rows},
                                {"tiles", "tiles in shared memory", run_tiles<matmul_tiles, side>},
                                {"registers", "4 by 4 numbers a thread", run_tiles<matmul_registers, tile>},
                                {"tensor cores", "16 x 16 x 8 products in one instruction, of bf16",
                                 run_tiles<matmul_tensor_cores, tile>, 0x1p-8}}};

}  // namespace chapbook::ladder
