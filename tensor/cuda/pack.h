// How kernels read and write: numbers of any dtype widened to what is computed with, several at a time where
// they lie side by side.
#pragma once
#include <cstdint>
#include <type_traits>

#include "tensor/cuda/kernel.h"
#include "tensor/loop.h"

namespace chapbook {

// What numbers are computed in: half types in float, float and double in themselves, integers in double.
template <class T>
using Wide = std::conditional_t<std::is_integral_v<T> || std::is_same_v<T, double>, double, float>;

// n numbers that are moved at once: up to 16 bytes are one access to memory.
template <class T, int n>
struct alignas(sizeof(T) * n < 16 ? sizeof(T) * n : 16) Pack {
  T numbers[n];
  CHAPBOOK_DEVICE T& operator[](int i) { return numbers[i]; }
  CHAPBOOK_DEVICE const T& operator[](int i) const { return numbers[i]; }
};

// How many numbers fill the widest access.
template <class T>
constexpr int full_pack = 16 / sizeof(T);

// n numbers from `from`, widened. `from` is a multiple of the pack's alignment.
template <int n, class T>
__device__ Pack<Wide<T>, n> load(const T* from) {
  const Pack<T, n> narrow = *reinterpret_cast<const Pack<T, n>*>(from);
  Pack<Wide<T>, n> x;
  for (int i = 0; i < n; ++i) x[i] = static_cast<Wide<T>>(narrow[i]);
  return x;
}

// n numbers to `to`, each rounded once.
template <int n, class T>
__device__ void store(T* to, const Pack<Wide<T>, n>& x) {
  Pack<T, n> narrow;
  for (int i = 0; i < n; ++i) narrow[i] = static_cast<T>(x[i]);
  *reinterpret_cast<Pack<T, n>*>(to) = narrow;
}

// Whether every row (the last axis) of x can be read in packs of n: its numbers lie side by side, it begins
// at a multiple of n numbers, and n divides its length.
inline bool in_packs(const View& x, int64_t n) {
  if (!x) return true;  // nothing to read
  if (x.shape.rank == 0 || x.strides[-1] != 1 || x.shape[-1] % n != 0) return false;
  const int64_t bytes = std::min<int64_t>(16, n * size_of(x.dtype));
  bool whole = reinterpret_cast<uintptr_t>(x.data) % bytes == 0;
  for (int axis = 0; axis + 1 < x.shape.rank; ++axis)
    whole = whole && (x.shape[axis] == 1 || x.strides[axis] % n == 0);
  return whole;
}

}  // namespace chapbook
