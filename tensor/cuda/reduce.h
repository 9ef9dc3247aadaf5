// One number from the numbers of the threads of a warp or of a block. The order of combining depends on the
// number of threads only, so the same input gives the same bits.
#pragma once
#include <limits>

#include "tensor/cuda/kernel.h"
#include "tensor/device.h"

namespace chapbook {

// How two numbers are combined, and the number that changes nothing. NaN wins over every number.
struct Sum {
  template <class T>
  static constexpr T start = T(0);
  template <class T>
  CHAPBOOK_DEVICE static T combine(T a, T b) {
    return a + b;
  }
};
struct Max {
  template <class T>
  static constexpr T start = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                                  : std::numeric_limits<T>::lowest();
  template <class T>
  CHAPBOOK_DEVICE static T combine(T a, T b) {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <class T>
  static constexpr T start = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                                                  : std::numeric_limits<T>::max();
  template <class T>
  CHAPBOOK_DEVICE static T combine(T a, T b) {
    return a < b || a != a ? a : b;
  }
};

// Of all 32 threads of a warp; all of them get it. In five steps, each thread's number takes in that of the
// thread whose number differs in one bit.
template <class Op, class T>
__device__ T warp_reduce(T x) {
  for (int bit = 16; bit; bit /= 2) x = Op::combine(x, __shfl_xor_sync(0xffffffffu, x, bit));
  return x;
}

// Of all threads of a block, which are whole warps; all of them get it. Every thread must come here.
template <class Op, class T>
__device__ T block_reduce(T x) {
  CHAPBOOK_SHARED(T, of_warp, [32]);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned warp = thread / 32, lane = thread % 32;
  const unsigned warps = blockDim.x * blockDim.y * blockDim.z / 32;
  x = warp_reduce<Op>(x);
  __syncthreads();  // the call before this one may still be reading
  if (lane == 0) of_warp[warp] = x;
  __syncthreads();  // all warps have written theirs
  return warp_reduce<Op>(lane < warps ? of_warp[lane] : Op::template start<T>);
}

template <class T>
__device__ T warp_sum(T x) {
  return warp_reduce<Sum>(x);
}
template <class T>
__device__ T block_sum(T x) {
  return block_reduce<Sum>(x);
}
template <class T>
__device__ T block_max(T x) {
  return block_reduce<Max>(x);
}

}  // namespace chapbook
