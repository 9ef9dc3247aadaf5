// How kernels read and write: numbers of any dtype widened to what is computed with, several at a time where
// they lie side by side.
#pragma once
#include <cstdint>
#include <type_traits>

#include "tensor/cuda/kernel.h"
#include "tensor/dtype.h"
#include "tensor/loop.h"

namespace chapbook {

// What numbers are computed in: what float holds exactly in float, f64 and i32 in double.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double> || std::is_same_v<T, int32_t>, double, float>;

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
template <int n, class T, class W>
__device__ void store(T* to, const Pack<W, n>& x) {
  Pack<T, n> narrow;
  for (int i = 0; i < n; ++i) narrow[i] = number_as<T>(x[i]);
  *reinterpret_cast<Pack<T, n>*>(to) = narrow;
}

// Whether the first `axes` axes of a shape take steps that are multiples of n.
inline bool steps_in_packs(const Shape& shape, const Strides& strides, int axes, int64_t n) {
  for (int axis = 0; axis < axes; ++axis)
    if (shape.size[axis] != 1 && strides.size[axis] % n != 0) return false;
  return true;
}

// Whether every row (the last axis) of x can be read in packs of n: its numbers lie side by side, it begins
// at a multiple of n numbers, and n divides its length. Also true of a view that is missing.
inline bool in_packs(const View& x, int64_t n) {
  if (!x) return true;
  if (x.shape.rank == 0 || x.strides[-1] != 1 || x.shape[-1] % n != 0) return false;
  const int64_t bytes = std::min<int64_t>(16, n * size_of(x.dtype));
  return reinterpret_cast<uintptr_t>(x.data) % bytes == 0 &&
         steps_in_packs(x.shape, x.strides, x.shape.rank - 1, n);
}

}  // namespace chapbook
