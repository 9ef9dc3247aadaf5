// CUDA's words for compilers that do not know them: each is answered by the simt machine. Only words that
// kernels use are here.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensor/simt/machine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)

using ::chapbook::simt::dim3;

#define threadIdx (::chapbook::simt::thread_index())
#define blockIdx (::chapbook::simt::block_index())
#define blockDim (::chapbook::simt::block_size())
#define gridDim (::chapbook::simt::grid_size())
#define warpSize 32

// A type with commas must be named first: the macro would take it for two arguments.
#define CHAPBOOK_SHARED(type, name, sizes)                                                     \
  using name##_array = ::std::type_identity_t<type sizes>;                                     \
  static constexpr ::chapbook::simt::SharedArray name##_shared{                                \
      #name, sizeof(name##_array), sizeof(type), alignof(name##_array), {__FILE__, __LINE__}}; \
  name##_array& name = *static_cast<name##_array*>(::chapbook::simt::shared(name##_shared))

namespace chapbook {
template <class T>
T* launched_shared() {
  return static_cast<T*>(simt::launched_shared());
}
}  // namespace chapbook

// Numbers that move together, in one access.
#define CHAPBOOK_VECTORS(number, name)                                        \
  struct alignas(2 * sizeof(number)) name##2 {                                \
    number x, y;                                                              \
  };                                                                          \
  struct alignas(4 * sizeof(number) < 16 ? 4 * sizeof(number) : 16) name##4 { \
    number x, y, z, w;                                                        \
  };                                                                          \
  inline name##2 make_##name##2(number x, number y) { return {x, y}; }        \
  inline name##4 make_##name##4(number x, number y, number z, number w) { return {x, y, z, w}; }
CHAPBOOK_VECTORS(float, float)
CHAPBOOK_VECTORS(double, double)
CHAPBOOK_VECTORS(int, int)
CHAPBOOK_VECTORS(unsigned, uint)
CHAPBOOK_VECTORS(unsigned short, ushort)
#undef CHAPBOOK_VECTORS

template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }

// Loads and stores with a hint about the caches, which are none of the machine's.
template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, T value) {
  *address = value;
}

// Waiting for each other.
#define CHAPBOOK_LINE ::chapbook::simt::Line line = CHAPBOOK_THIS_LINE
inline void __syncthreads(CHAPBOOK_LINE) { ::chapbook::simt::barrier(false, line); }
inline int __syncthreads_count(int predicate, CHAPBOOK_LINE) {
  return ::chapbook::simt::barrier(predicate, line);
}
inline int __syncthreads_or(int predicate, CHAPBOOK_LINE) {
  return ::chapbook::simt::barrier(predicate, line) > 0;
}
inline int __syncthreads_and(int predicate, CHAPBOOK_LINE) {
  return ::chapbook::simt::barrier(!predicate, line) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, CHAPBOOK_LINE) {
  ::chapbook::simt::sync_warp(mask, line);
}
inline void __threadfence() {}

// Exchanging values within a warp, or within groups of `width` lanes of it. As on a GPU, where the other lane
// would lie outside the group, a lane gets its own value back.
template <class T>
T chapbook_shuffle(unsigned mask, T value, int source, ::chapbook::simt::Line line) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "exchanges 32 or 64 bits");
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  return std::bit_cast<T>(
      static_cast<Bits>(::chapbook::simt::shuffle(mask, std::bit_cast<Bits>(value), source, line)));
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CHAPBOOK_LINE) {
  const int first = ::chapbook::simt::lane() & ~(width - 1);
  return chapbook_shuffle(mask, value, first + (source & (width - 1)), line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CHAPBOOK_LINE) {
  const int lane = ::chapbook::simt::lane(), source = lane ^ bits;
  return chapbook_shuffle(mask, value, source < (lane & ~(width - 1)) + width ? source : lane, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CHAPBOOK_LINE) {
  const int lane = ::chapbook::simt::lane();
  const bool inside = (lane & (width - 1)) + static_cast<int>(delta) < width;
  return chapbook_shuffle(mask, value, inside ? lane + static_cast<int>(delta) : lane, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CHAPBOOK_LINE) {
  const int lane = ::chapbook::simt::lane();
  const bool inside = (lane & (width - 1)) >= static_cast<int>(delta);
  return chapbook_shuffle(mask, value, inside ? lane - static_cast<int>(delta) : lane, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, CHAPBOOK_LINE) {
  return ::chapbook::simt::ballot(mask, predicate, line);
}
inline int __any_sync(unsigned mask, int predicate, CHAPBOOK_LINE) {
  return ::chapbook::simt::ballot(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CHAPBOOK_LINE) {
  return ::chapbook::simt::ballot(mask, !predicate, line) == 0;
}
// Which lanes bring the same value.
template <class T>
unsigned __match_any_sync(unsigned mask, T value, CHAPBOOK_LINE) {
  static_assert(std::is_integral_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "compares 32 or 64 bits");
  return ::chapbook::simt::alike(mask, static_cast<uint64_t>(value), line);
}
#undef CHAPBOOK_LINE

// Atomics, on integers only: a floating-point sum in no fixed order would differ from run to run. `old` and
// the returned value are what was there before.
template <class T>
using chapbook_integer = std::enable_if_t<std::is_integral_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), T>;
template <class T>
chapbook_integer<T> atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return static_cast<T>(::chapbook::simt::compare_and_swap(
      address, sizeof(T), static_cast<uint64_t>(expected), static_cast<uint64_t>(value)));
}
#define CHAPBOOK_ATOMIC(name, result)                                          \
  template <class T>                                                           \
  chapbook_integer<T> name(T* address, std::type_identity_t<T> value) {        \
    T old = atomicCAS(address, T{}, T{});                                      \
    for (T seen; (seen = atomicCAS(address, old, result)) != old;) old = seen; \
    return old;                                                                \
  }
CHAPBOOK_ATOMIC(atomicAdd, old + value)
CHAPBOOK_ATOMIC(atomicMax, max(old, value))
CHAPBOOK_ATOMIC(atomicMin, min(old, value))
CHAPBOOK_ATOMIC(atomicExch, value)
#undef CHAPBOOK_ATOMIC
