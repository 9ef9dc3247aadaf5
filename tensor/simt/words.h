// CUDA's words for compilers that do not know them: each is answered by the simt machine.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/simt/machine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

// The thread that runs.
#define threadIdx (::chapbook::simt::current().thread)
#define blockIdx (::chapbook::simt::current().block)
#define blockDim (::chapbook::simt::current().threads)
#define gridDim (::chapbook::simt::current().blocks)
#define warpSize 32

#define CHAPBOOK_SHARED(type, name, sizes) \
  auto& name = ::chapbook::simt::shared<::chapbook::simt::Array<type sizes>>(#name, __FILE__, __LINE__)

using ::chapbook::simt::dim3;
