// Softmax of each row: y = exp(x - max) / sum(exp(x - max)). Three passes over a row by the formula; how few
// can it be?
#include "bench/ladder/cuda/rungs.h"
#include "tensor/cuda/exponential.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/cuda/row.h"

namespace chapbook::ladder {
namespace {

// A thread for each row, as on a CPU. The threads of a warp read numbers a row apart, and a GPU with few rows
// idles.
__global__ void softmax_thread(const float* x, float* y, int64_t rows, int64_t n) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  x += row * n, y += row * n;
  float largest = x[0], sum = 0;
  for (int64_t j = 1; j < n; ++j) largest = max(largest, x[j]);
  for (int64_t j = 0; j < n; ++j) sum += exponential(x[j] - largest);
  for (int64_t j = 0; j < n; ++j) y[j] = exponential(x[j] - largest) / sum;
}

// A block for each row: its threads read side by side, and join their maxima and sums.
__global__ void softmax_block(const float* x, float* y, int64_t n) {
  x += blockIdx.x * n, y += blockIdx.x * n;
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) largest = max(largest, x[j]);
  largest = block_max(largest);
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) sum += exponential(x[j] - largest);
  sum = block_sum(sum);
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) y[j] = exponential(x[j] - largest) / sum;
}

// The sum is kept relative to the largest number so far and rescaled when a larger one turns up (Milakov &
// Gimelshein 2018), so one pass finds both: two reads of a row instead of three.
__global__ void softmax_online(const float* x, float* y, int64_t n) {
  x += blockIdx.x * n, y += blockIdx.x * n;
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) {
    const float before = largest;
    largest = max(largest, x[j]);
    sum = sum * exponential(before - largest) + exponential(x[j] - largest);
  }
  const float mine = largest;
  largest = block_max(largest);
  // A thread that saw no number has the sum 0, and must not make a NaN of it.
  sum = block_sum(sum > 0 ? sum * exponential(mine - largest) : 0.0f);
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) y[j] = exponential(x[j] - largest) / sum;
}

// The row stays in registers between the passes: one read, one write. Rows of up to 8,192 numbers.
constexpr int of_thread = 16, most_threads = 512;
__global__ void __launch_bounds__(most_threads) softmax_registers(const float* x, float* y, int64_t n) {
  x += blockIdx.x * n, y += blockIdx.x * n;
  float numbers[of_thread];
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;
#pragma unroll
  for (int i = 0; i < of_thread; ++i) {
    const int64_t j = threadIdx.x + int64_t{i} * blockDim.x;
    numbers[i] = j < n ? x[j] : -std::numeric_limits<float>::infinity();
    largest = max(largest, numbers[i]);
  }
  largest = block_max(largest);
#pragma unroll
  for (int i = 0; i < of_thread; ++i) {
    numbers[i] = exponential(numbers[i] - largest);
    sum += numbers[i];
  }
  sum = block_sum(sum);
#pragma unroll
  for (int i = 0; i < of_thread; ++i) {
    const int64_t j = threadIdx.x + int64_t{i} * blockDim.x;
    if (j < n) y[j] = numbers[i] / sum;
  }
}

void run_thread(Backend&, std::span<const View> xs, const View& y) {
  launch<softmax_thread>({blocks_for(y.shape[0], 128), 128}, xs[0].as<const float>(), y.as<float>(),
                         y.shape[0], y.shape[1]);
}

template <auto kernel>
void run_block(Backend&, std::span<const View> xs, const View& y) {
  const int64_t n = y.shape[1];
  launch<kernel>({blocks_for(y.shape[0], 1), threads_for(n, 1)}, xs[0].as<const float>(), y.as<float>(), n);
}

void run_registers(Backend& backend, std::span<const View> xs, const View& y) {
  check(y.shape[1] <= of_thread * most_threads, "softmax in registers: a row of {} is too long", y.shape[1]);
  run_block<softmax_registers>(backend, xs, y);
}

}  // namespace

const CudaLadder softmax_ladder{"softmax",
                                {{"thread a row", "three passes, as on a CPU", run_thread},
                                 {"block a row", "threads read side by side", run_block<softmax_block>},
                                 {"online", "maximum and sum in one pass", run_block<softmax_online>},
                                 {"registers", "the row is read once", run_registers}}};

}  // namespace chapbook::ladder
