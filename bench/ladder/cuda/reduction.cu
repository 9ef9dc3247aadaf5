// A sum of n numbers. Threads must combine what they have; the ways to do it differ in how many of them work
// and how often all must wait (M. Harris, "Optimizing Parallel Reduction in CUDA", 2007). Each rung leaves
// one sum for each block in the second kernel's input, and one block adds those: no atomics, so the same bits
// each time.
#include "bench/ladder/cuda/rungs.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/pack.h"
#include "tensor/cuda/reduce.h"
#include "tensor/tensor.h"

namespace chapbook::ladder {
namespace {

constexpr unsigned threads = 256;

// A tree in shared memory: in step s, every thread whose number is a multiple of 2s takes in its neighbour's
// sum s further. The threads that work are spread over all warps, so nearly all warps go through every step
// for a few lanes.
__global__ void sum_scattered_tree(const float* x, int64_t n, float* y) {
  CHAPBOOK_SHARED(float, sums, [threads]);
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  sums[threadIdx.x] = i < n ? x[i] : 0;
  for (unsigned s = 1; s < threads; s *= 2) {
    __syncthreads();
    if (threadIdx.x % (2 * s) == 0) sums[threadIdx.x] += sums[threadIdx.x + s];
  }
  if (threadIdx.x == 0) y[blockIdx.x] = sums[0];
}

// The same tree with the threads that work side by side: whole warps fall idle.
__global__ void sum_dense_tree(const float* x, int64_t n, float* y) {
  CHAPBOOK_SHARED(float, sums, [threads]);
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  sums[threadIdx.x] = i < n ? x[i] : 0;
  for (unsigned s = threads / 2; s > 0; s /= 2) {
    __syncthreads();
    if (threadIdx.x < s) sums[threadIdx.x] += sums[threadIdx.x + s];
  }
  if (threadIdx.x == 0) y[blockIdx.x] = sums[0];
}

// Within a warp threads exchange registers: no shared memory and no barrier but the one between warps.
__global__ void sum_shuffles(const float* x, int64_t n, float* y) {
  const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  const float sum = block_sum(i < n ? x[i] : 0.0f);
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

// Each thread adds many numbers, 16 bytes at a time, before it meets the others: the tree costs next to
// nothing, and what is left is reading.
constexpr int64_t of_thread = 32;
__global__ void sum_many_each(const float* x, int64_t n, float* y) {
  const int64_t first = int64_t{blockIdx.x} * threads * of_thread,
                end = min(first + int64_t{threads} * of_thread, n);
  Pack<float, 4> sums = {};
  int64_t i = first + threadIdx.x * 4;
  for (; i + 4 <= end; i += threads * 4) {
    const Pack<float, 4> numbers = load<4>(x + i);
    for (int j = 0; j < 4; ++j) sums[j] += numbers[j];
  }
  for (; i < end; ++i) sums[0] += x[i];
  const float sum = block_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

// As often as it takes until one number is left.
template <auto kernel, int64_t of_block>
void run(Backend& backend, std::span<const View> xs, const View& y) {
  View x = xs[0];
  Tensor sums;
  while (true) {
    const unsigned blocks = blocks_for(x.count(), of_block);
    const Tensor next = blocks > 1 ? Tensor::empty({int64_t{blocks}}, DType::f32, backend) : Tensor();
    launch<kernel>({blocks, threads}, x.as<const float>(), x.count(),
                   (blocks > 1 ? next.view() : y).template as<float>());
    if (blocks == 1) return;
    sums = next;
    x = sums.view();
  }
}

}  // namespace

const CudaLadder reduction_ladder{
    "reduction: sum",
    {{"scattered tree", "a tree in shared memory", run<sum_scattered_tree, threads>},
     {"dense tree", "the threads that work side by side", run<sum_dense_tree, threads>},
     {"shuffles", "registers exchanged within a warp", run<sum_shuffles, threads>},
     {"many each", "32 numbers a thread before they meet", run<sum_many_each, threads * of_thread>}}};

}  // namespace chapbook::ladder
