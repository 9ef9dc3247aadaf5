// Layer normalisation of each row: y = (x - mean) rstd weight + bias. A row of a model is some hundred
// numbers: too few for a block that keeps meeting, and far too many for one thread.
#include "bench/ladder/cuda/rungs.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/pack.h"
#include "tensor/cuda/reduce.h"

namespace chapbook::ladder {
namespace {

constexpr float epsilon = 1e-5f;

// A thread for each row: reads a row apart, three times.
__global__ void norm_thread(const float* x, const float* weight, const float* bias, float* y, int64_t rows,
                            int64_t n) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  x += row * n, y += row * n;
  float mean = 0, variance = 0;
  for (int64_t j = 0; j < n; ++j) mean += x[j];
  mean /= n;
  for (int64_t j = 0; j < n; ++j) variance += (x[j] - mean) * (x[j] - mean);
  const float rstd = rsqrtf(variance / n + epsilon);
  for (int64_t j = 0; j < n; ++j) y[j] = (x[j] - mean) * rstd * weight[j] + bias[j];
}

// A block for each row: reads side by side, but four barriers for some hundred numbers.
__global__ void norm_block(const float* x, const float* weight, const float* bias, float* y, int64_t,
                           int64_t n) {
  x += blockIdx.x * n, y += blockIdx.x * n;
  float mean = 0, variance = 0;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) mean += x[j];
  mean = block_sum(mean) / n;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) variance += (x[j] - mean) * (x[j] - mean);
  const float rstd = rsqrtf(block_sum(variance) / n + epsilon);
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) y[j] = (x[j] - mean) * rstd * weight[j] + bias[j];
}

// A warp for each row, four rows in a block: lanes exchange registers, and nobody waits at a barrier.
__global__ void norm_warp(const float* x, const float* weight, const float* bias, float* y, int64_t rows,
                          int64_t n) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  x += row * n, y += row * n;
  float mean = 0, variance = 0;
  for (int64_t j = threadIdx.x; j < n; j += 32) mean += x[j];
  mean = warp_sum(mean) / n;
  for (int64_t j = threadIdx.x; j < n; j += 32) variance += (x[j] - mean) * (x[j] - mean);
  const float rstd = rsqrtf(warp_sum(variance) / n + epsilon);
  for (int64_t j = threadIdx.x; j < n; j += 32) y[j] = (x[j] - mean) * rstd * weight[j] + bias[j];
}

// In packs of 16 bytes, and the row stays in registers: one read. Rows of up to 1,024 numbers, a multiple
// of 4.
constexpr int packs = 8;
__global__ void norm_registers(const float* x, const float* weight, const float* bias, float* y, int64_t rows,
                               int64_t n) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  x += row * n, y += row * n;
  Pack<float, 4> numbers[packs];
  float mean = 0, variance = 0;
#pragma unroll
  for (int i = 0; i < packs; ++i) {
    const int64_t j = (threadIdx.x + 32 * i) * 4;
    numbers[i] = j < n ? load<4>(x + j) : Pack<float, 4>{};
    for (int c = 0; c < 4; ++c) mean += numbers[i][c];
  }
  mean = warp_sum(mean) / n;
#pragma unroll
  for (int i = 0; i < packs; ++i)
    if ((threadIdx.x + 32 * i) * 4 < n)
      for (int c = 0; c < 4; ++c) variance += (numbers[i][c] - mean) * (numbers[i][c] - mean);
  const float rstd = rsqrtf(warp_sum(variance) / n + epsilon);
#pragma unroll
  for (int i = 0; i < packs; ++i) {
    const int64_t j = (threadIdx.x + 32 * i) * 4;
    if (j >= n) continue;
    const Pack<float, 4> factor = load<4>(weight + j), added = load<4>(bias + j);
    for (int c = 0; c < 4; ++c) numbers[i][c] = (numbers[i][c] - mean) * rstd * factor[c] + added[c];
    store<4>(y + j, numbers[i]);
  }
}

template <auto kernel>
void run(std::span<const View> xs, const View& y, int64_t rows_of_block, dim3 threads) {
  launch<kernel>({blocks_for(y.shape[0], rows_of_block), threads}, xs[0].as<const float>(),
                 xs[1].as<const float>(), xs[2].as<const float>(), y.as<float>(), y.shape[0], y.shape[1]);
}
void run_thread(Backend&, std::span<const View> xs, const View& y) { run<norm_thread>(xs, y, 128, 128); }
void run_block(Backend&, std::span<const View> xs, const View& y) { run<norm_block>(xs, y, 1, 256); }
void run_warp(Backend&, std::span<const View> xs, const View& y) { run<norm_warp>(xs, y, 4, {32, 4}); }
void run_registers(Backend&, std::span<const View> xs, const View& y) {
  const int64_t n = y.shape[1];
  check(n <= 128 * packs && n % 4 == 0,
        "layer norm in registers: rows of {}, not a multiple of 4 up to 1,024", n);
  run<norm_registers>(xs, y, 4, {32, 4});
}

}  // namespace

const CudaLadder layer_norm_ladder{
    "layer norm",
    {{"thread a row", "as on a CPU", run_thread},
     {"block a row", "threads read side by side", run_block},
     {"warp a row", "no barriers", run_warp},
     {"registers", "the row is read once, 16 bytes at a time", run_registers}}};

}  // namespace chapbook::ladder
