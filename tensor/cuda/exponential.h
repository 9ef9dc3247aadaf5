// Powers for the kernels that are full of them: on a GPU one instruction of its special-function unit.
// Results below 2^-126, the smallest normal float, are 0 there. The relative error is some 1e-7 (1 + |x|).
#pragma once
#include "tensor/cuda/kernel.h"
#include "tensor/math.h"

namespace chapbook {

constexpr double log2_e = 1.4426950408889634;

// 2^x
__device__ inline float power_of_2(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return std::exp2(x);
#endif
}
__device__ inline double power_of_2(double x) { return std::exp2(x); }

// e^x
__device__ inline float exponential(float x) { return power_of_2(x * static_cast<float>(log2_e)); }
__device__ inline double exponential(double x) { return math::exp(x); }

}  // namespace chapbook
