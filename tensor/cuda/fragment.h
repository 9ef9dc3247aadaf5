// Tensor cores, and what feeds them. The 32 lanes of a warp hold a small matrix together: each has some of
// its numbers in registers, its fragment, two half numbers in each 32 bits, the lower column or row in the
// low bits. All lanes must call together. Needs compute capability 8.0; below it these trap, so ask
// has_fragments() first.
//
// Where the numbers are, with row = lane / 4 and pair = 2 (lane % 4) (PTX: Matrix Fragments for
// mma.m16n8k16):
//   a (16, 16)  a[0] (row, pair)   a[1] (row + 8, pair)   a[2] (row, pair + 8)   a[3] (row + 8, pair + 8)
//   b (16, 8)   b[0] (pair, row)   b[1] (pair + 8, row): two rows of one column
//   d (16, 8)   d[0], d[1] (row, pair)   d[2], d[3] (row + 8, pair)
#pragma once
#include <type_traits>

#include "tensor/cuda/kernel.h"
#include "tensor/dtype.h"
#ifndef __CUDACC__
#include "tensor/simt/fragment.h"
#endif

namespace chapbook {

// Two numbers rounded to half ones, the first in the low bits.
template <class T>
__device__ uint32_t pair_of(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800  // one instruction
  uint32_t pair;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return T(low).bits | uint32_t{T(high).bits} << 16;
#endif
}

// d += a b, with a and b of T (bf16 or f16) and sums in f32.
template <class T>
__device__ void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  constexpr bool brain = std::is_same_v<T, bf16>;
  static_assert(brain || std::is_same_v<T, f16>);
#ifndef __CUDACC__
  simt::mma_16x8x16(brain, d, a, b);
#elif __CUDA_ARCH__ >= 800
#define CHAPBOOK_MMA(type)                                                            \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                 \
               ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                       \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
  if constexpr (brain)
    CHAPBOOK_MMA("bf16");
  else
    CHAPBOOK_MMA("f16");
#undef CHAPBOOK_MMA
#else
  __trap();
#endif
}

// Four 8x8 matrices of half numbers from shared memory. Lane l names where row l % 8 of matrix l / 8 begins,
// a multiple of 16 bytes. Of matrix i the lane gets, in x[i], the numbers (lane / 4, pair) and (lane / 4,
// pair + 1); transposed: (pair, lane / 4) and (pair + 1, lane / 4).
template <bool transposed = false>
__device__ void load_matrices(uint32_t (&x)[4], const void* row) {
#ifndef __CUDACC__
  simt::load_matrices(transposed, x, row);
#elif __CUDA_ARCH__ >= 800
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(address)
                 : "memory");
#else
  __trap();
#endif
}

// Copies 16 bytes from global to shared memory while the thread goes on; where `inside` is false, writes
// zeros and reads nothing. Copies are waited for in groups: end_copies() closes a group, wait_for_copies<n>()
// waits until at most the n newest groups of this thread are under way. Other threads see the numbers after a
// barrier.
__device__ inline void copy_later(void* to, const void* from, bool inside = true) {
#ifndef __CUDACC__
  simt::copy_later(to, from, inside);
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "l"(__cvta_generic_to_global(from)), "r"(inside ? 16 : 0)
               : "memory");
#else
  __trap();
#endif
}
__device__ inline void end_copies() {
#ifndef __CUDACC__
  simt::end_copies();
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  __trap();
#endif
}
template <int newest = 0>
__device__ void wait_for_copies() {
#ifndef __CUDACC__
  simt::wait_for_copies(newest);
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(newest) : "memory");
#else
  __trap();
#endif
}

}  // namespace chapbook
