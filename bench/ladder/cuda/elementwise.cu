// An elementwise op, y = gelu(x): nothing but memory. A GPU's memory answers the 32 threads of a warp
// together, in pieces of 32 bytes, so what counts is which numbers the threads of a warp read at the same
// moment.
#include "bench/ladder/cuda/rungs.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/pack.h"
#include "tensor/math.h"

namespace chapbook::ladder {
namespace {

constexpr unsigned threads = 256;

// As one would on a CPU: each thread takes a stretch of its own. The warp's 32 reads lie a stretch apart, so
// each brings in 32 bytes and uses 4.
constexpr int64_t stretch = 16;
__global__ void gelu_stretches(const float* x, float* y, int64_t n) {
  const int64_t first = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * stretch;
  for (int64_t i = first; i < min(first + stretch, n); ++i) y[i] = math::gelu(x[i]);
}

// Neighbouring threads take neighbouring numbers: a warp's reads are 128 bytes that lie side by side, and
// nothing that is brought in is thrown away.
__global__ void gelu_neighbours(const float* x, float* y, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) y[i] = math::gelu(x[i]);
}

// Four numbers a thread, in one access of 16 bytes: a quarter of the instructions, and more bytes on their
// way at once. What is left at the end is taken one by one.
__global__ void gelu_packs(const float* x, float* y, int64_t n) {
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * 4;
  if (i + 4 <= n) {
    Pack<float, 4> numbers = load<4>(x + i);
    for (int j = 0; j < 4; ++j) numbers[j] = math::gelu(numbers[j]);
    store<4>(y + i, numbers);
  } else {
    for (int64_t j = i; j < n; ++j) y[j] = math::gelu(x[j]);
  }
}

template <auto kernel, int64_t of_thread>
void run(Backend&, std::span<const View> xs, const View& y) {
  const int64_t n = y.count();
  launch<kernel>({blocks_for(n, threads * of_thread), threads}, xs[0].as<const float>(), y.as<float>(), n);
}

}  // namespace

const CudaLadder elementwise_ladder{
    "elementwise: gelu",
    {{"stretches", "each thread a stretch of its own", run<gelu_stretches, stretch>},
     {"neighbours", "neighbouring threads read neighbouring numbers", run<gelu_neighbours, 1>},
     {"packs", "16 bytes in one access", run<gelu_packs, 4>}}};

}  // namespace chapbook::ladder
