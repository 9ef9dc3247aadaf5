// Rows of numbers, as kernels walk along them: the threads of x share a row, 16 bytes at a time from the
// first multiple of 16 bytes on, and one number at a time before it, behind the last, and where the numbers
// of a row do not lie side by side.
#pragma once
#include "tensor/cuda/pack.h"

namespace chapbook {

// Numbers `step` apart: a row, or a view with one axis.
template <class T>
struct Row {
  T* data;
  int64_t step;

  CHAPBOOK_DEVICE T& operator[](int64_t j) const { return data[j * step]; }
  // Whether packs of 16 bytes may be moved from column j on. They begin at multiples of their size.
  CHAPBOOK_DEVICE bool packs(int64_t j = 0) const {
    return step == 1 && reinterpret_cast<uintptr_t>(data + j) % 16 == 0;
  }
};

template <class T>
Row<T> row_of(const View& x) {
  return {x.as<T>(), x.shape.rank ? x.strides[0] : 0};
}

// A view (..., n) as rows: all indices of the leading axes counted through, the last of them fastest.
template <class T>
struct Rows {
  T* data;
  Shape leading;
  Strides strides;
  int64_t step;

  explicit Rows(const View& x)
      : data(x.as<T>()), leading(x.shape.without(-1)), strides(x.strides.without(-1)), step(x.strides[-1]) {}
  // The loop has a fixed length so that it is unrolled, and the sizes are read where a kernel's arguments
  // lie.
  CHAPBOOK_DEVICE Row<T> operator[](int64_t i) const {
    T* row = data;
    for (int axis = Shape::max_rank - 1; axis >= 0; --axis) {
      if (axis >= leading.rank) continue;
      const int64_t rest = axis ? i / leading.size[axis] : 0;  // the first axis needs no division
      row += (i - rest * leading.size[axis]) * strides.size[axis];
      i = rest;
    }
    return {row, step};
  }
};

template <int n>
using Count = std::integral_constant<int, n>;

// The first column from which on packs may be moved in all of these rows of n numbers; n where there is none,
// since they lie differently. Rows of 50,257 numbers begin at other places of 16 bytes each. Where the rows
// are of two types, x is of the smaller one.
template <class T, class... Others>
__device__ int64_t head_of(int64_t n, const Row<T>& x, const Row<Others>&... others) {
  const int64_t head = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(x.data) % 16 / sizeof(T));
  return head < n && x.packs(head) && (others.packs(head) && ...) ? head : n;
}

// Shares columns 0 to n of a row among the threads of x: calls f(Count<c>{}, j) for the c columns from j on.
// c is `width` from column `head` (head_of) on, while so many are left; else it is 1.
template <int width, class F>
__device__ void for_columns(int64_t n, int64_t head, F f) {
  const int64_t packed = (n - head) / width * width;
  for (int64_t j = head + int64_t{threadIdx.x} * width; j < head + packed; j += int64_t{blockDim.x} * width)
    f(Count<width>{}, j);
  for (int64_t i = threadIdx.x; i < n - packed; i += blockDim.x) f(Count<1>{}, i < head ? i : i + packed);
}

// The c numbers of a row from column j on, widened; and back.
template <int c, class T>
__device__ auto load(const Row<T>& x, int64_t j) {
  return load<c>(&x[j]);
}
template <int c, class T>
__device__ void store(const Row<T>& y, int64_t j, const Pack<Wide<T>, c>& numbers) {
  store<c>(&y[j], numbers);
}

// Threads for a row of n numbers, `width` each at a time: whole warps, at most `most`.
inline unsigned threads_for(int64_t n, int width, int64_t most = 512) {
  return static_cast<unsigned>(std::clamp<int64_t>((n + width - 1) / width + 31, 32, most) / 32 * 32);
}

// Calls f(Type<T>{}) for a floating-point dtype.
template <class F>
void visit_float(DType dtype, F&& f) {
  visit(dtype, [&]<class T>(Type<T> type) {
    if constexpr (std::is_integral_v<T>)
      fail("{} is no floating-point dtype", name_of(dtype));
    else
      f(type);
  });
}

}  // namespace chapbook
