// The same random numbers as every backend's.
#include "tensor/random.h"

#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/each.h"

namespace chapbook {

// A thread for each Philox block, which gives four numbers. They belong to the elements in the order of their
// indices, whatever the strides are.
template <Distribution distribution>
__global__ void random_numbers(uint64_t seed, uint64_t counter, const uint64_t* shift,
                               const __grid_constant__ View y, int64_t count, Any numbers) {
  const int64_t block = thread_number();
  counter += *shift + static_cast<uint64_t>(block);
  for (int i = 0; i < 4; ++i) {
    if (block * 4 + i >= count) return;
    const double number =
        distribution == Distribution::uniform ? uniform_at(seed, counter, i) : normal_at(seed, counter, i);
    numbers.write(offset_of(block * 4 + i, y.shape, y.strides), number);
  }
}

void CudaBackend::random(Distribution distribution, uint64_t seed, uint64_t counter, Out y) {
  const int64_t count = y.count();
  if (count == 0) return;
  if (y.contiguous()) y = y.reshape({count});
  const Grid grid{blocks_for(count, 4 * 256), 256};
  if (distribution == Distribution::uniform)
    launch<random_numbers<Distribution::uniform>>(grid, seed, counter, &state()->counter_shift, y, count,
                                                  Any(y));
  else
    launch<random_numbers<Distribution::normal>>(grid, seed, counter, &state()->counter_shift, y, count,
                                                 Any(y));
}

}  // namespace chapbook
