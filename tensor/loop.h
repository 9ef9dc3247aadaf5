// Loop: operands of one shape walked together in as few and as long rows as their strides allow.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "tensor/view.h"

namespace chapbook {

// Offset of element `index` (counted with the last axis fastest) of a shape.
CHAPBOOK_DEVICE inline int64_t offset_of(int64_t index, const Shape& shape, const Strides& strides) {
  int64_t offset = 0;
  for (int axis = shape.rank - 1; axis >= 0; --axis) {
    offset += index % shape.size[axis] * strides.size[axis];
    index /= shape.size[axis];
  }
  return offset;
}

// N operands of one shape. Axes of size 1 go, the others are ordered by the strides of the first operand,
// which is the one written to, and axes that lie one behind the other in every operand become one. A
// contiguous operation is left with a single axis.
template <int N>
struct Loop {
  Shape shape;
  std::array<Strides, N> strides;

  Loop(const Shape& full, const std::array<Strides, N>& full_strides) {
    int order[Shape::max_rank], axes = 0;
    const auto step = [&](int axis) { return std::abs(full_strides[0].size[axis]); };
    for (int axis = 0; axis < full.rank; ++axis) {
      if (full.size[axis] == 1) continue;
      int at = axes++;
      for (; at > 0 && step(order[at - 1]) < step(axis); --at) order[at] = order[at - 1];
      order[at] = axis;
    }
    for (int i = 0; i < axes; ++i) add_axis(full.size[order[i]], order[i], full_strides);
    if (shape.rank == 0) {
      shape = Shape{1};
      for (Strides& s : strides) s = Strides{1};
    }
  }

  // Where element `index` is in each operand. On a GPU a division of 64 bits costs some 70 instructions; the
  // compiler makes one of 32 bits where the numbers fit.
  CHAPBOOK_DEVICE std::array<int64_t, N> at(int64_t index) const {
    std::array<int64_t, N> offsets = {};
#ifdef __CUDACC__
#pragma unroll 1  // this is part of hundreds of kernels
#endif
    for (int axis = shape.rank - 1; axis >= 0; --axis) {
      // The first axis needs no division; a contiguous operation has no other.
      const int64_t rest = axis ? index / shape.size[axis] : 0, here = index - rest * shape.size[axis];
      for (int i = 0; i < N; ++i) offsets[i] += here * strides[i].size[axis];
      index = rest;
    }
    return offsets;
  }

  // How far apart its elements are along the last axis.
  CHAPBOOK_DEVICE int64_t step(int operand) const { return strides[operand].size[shape.rank - 1]; }

  // Calls row(offsets, count) for the rows, or pieces of rows, that make up elements begin to end.
  template <class Row>
  void run(int64_t begin, int64_t end, Row&& row) const {
    const int64_t length = shape[-1];
    while (begin < end) {
      const int64_t column = begin % length, count = std::min(length - column, end - begin);
      row(at(begin), count);
      begin += count;
    }
  }

 private:
  void add_axis(int64_t size, int axis, const std::array<Strides, N>& full_strides) {
    const int last = shape.rank - 1;
    bool merges = last >= 0;
    for (int i = 0; i < N && merges; ++i) merges = strides[i].size[last] == full_strides[i].size[axis] * size;
    if (!merges) ++shape.rank;
    const int to = shape.rank - 1;
    shape.size[to] = merges ? shape.size[to] * size : size;
    for (int i = 0; i < N; ++i) {
      strides[i].rank = shape.rank;
      strides[i].size[to] = full_strides[i].size[axis];
    }
  }
};

}  // namespace chapbook
