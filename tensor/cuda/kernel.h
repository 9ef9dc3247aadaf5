// The words that kernels are written in. nvcc has them built in; for any other compiler the simt machine
// gives them their meaning, so that the same .cu files run on a GPU and, slowly and watched, on the host.
#pragma once
#ifdef __CUDACC__
#include <cuda_runtime.h>

// An array that the threads of a block share: CHAPBOOK_SHARED(float, tile, [32][33]);
#define CHAPBOOK_SHARED(type, name, sizes) __shared__ type name sizes

namespace chapbook {

// The shared memory whose size is given at launch.
template <class T>
__device__ T* launched_shared() {
  extern __shared__ __align__(16) unsigned char chapbook_launched_shared[];
  return reinterpret_cast<T*>(chapbook_launched_shared);
}

}  // namespace chapbook
#else
#include "tensor/simt/words.h"
#endif
