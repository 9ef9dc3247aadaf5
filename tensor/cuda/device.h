// The CUDA device in use, and its one stream. Only what talks to a real GPU includes this. Which device that
// is, CUDA's own variable says: CUDA_VISIBLE_DEVICES=1 makes the second one the only one to be seen.
#pragma once
#include <cuda_runtime.h>

#include <string_view>

namespace chapbook {

cudaStream_t stream();  // everything the backend does happens here, in order

// Throws "cuda: WHAT: the reason" unless `status` is success.
void check_cuda(cudaError_t status, std::string_view what);

}  // namespace chapbook
