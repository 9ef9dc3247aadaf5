#include "bench/ladder/cuda/rungs.h"

namespace chapbook::ladder {

std::span<const CudaLadder* const> cuda_ladders() {
  static const CudaLadder* const all[] = {&elementwise_ladder, &reduction_ladder,  &matmul_ladder,
                                          &softmax_ladder,     &layer_norm_ladder, &attention_ladder};
  return all;
}

}  // namespace chapbook::ladder

// Where the program that times them finds those that were compiled for the GPU.
extern "C" __attribute__((visibility("default"))) void chapbook_cuda_ladders(
    std::span<const chapbook::ladder::CudaLadder* const>* ladders) {
  *ladders = chapbook::ladder::cuda_ladders();
}
