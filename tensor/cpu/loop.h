// What the fast loops share: operands of one shape walked together in as few and as long rows as their
// strides allow, sums in several lanes, and memory a thread keeps between calls.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "tensor/cpu/thread_pool.h"
#include "tensor/view.h"

namespace chapbook::cpu {

// Elements a thread takes at a time: long enough to hide the hand-out, short enough to balance and to stay in
// the cache.
constexpr int64_t grain = 16384;

inline bool all_f32(std::initializer_list<View> views) {
  return std::all_of(views.begin(), views.end(), [](const View& x) { return !x || x.dtype == DType::f32; });
}

// Whether the numbers along the last axis lie side by side.
inline bool dense_rows(const View& x) {
  return !x || x.shape.rank == 0 || x.shape[-1] == 1 || x.strides[-1] == 1;
}

inline bool dense_rows(std::initializer_list<View> views) {
  return std::all_of(views.begin(), views.end(), [](const View& x) { return dense_rows(x); });
}

// Offset of element `index` (counted with the last axis fastest) of a shape.
inline int64_t offset_of(int64_t index, const Shape& shape, const Strides& strides) {
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

  // Calls row(offsets, count) for the rows, or pieces of rows, that make up elements begin to end.
  template <class Row>
  void run(int64_t begin, int64_t end, Row&& row) const {
    const int64_t length = shape[-1];
    while (begin < end) {
      const int64_t column = begin % length, count = std::min(length - column, end - begin);
      std::array<int64_t, N> offsets;
      for (int i = 0; i < N; ++i) offsets[i] = offset_of(begin, shape, strides[i]);
      row(offsets, count);
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

// The sum of f(0) to f(n - 1), in 32 partial sums that are added in a fixed order. One long chain of
// additions would wait for each addition to end, and lose more digits.
template <class F>
float sum_of(int64_t n, F&& f) {
  constexpr int lanes = 32;
  float sums[lanes] = {}, rest = 0;
  const int64_t whole = n / lanes * lanes;
  for (int64_t j = 0; j < whole; j += lanes)
    for (int lane = 0; lane < lanes; ++lane) sums[lane] += f(j + lane);
  for (int64_t j = whole; j < n; ++j) rest += f(j);
  for (int width = lanes / 2; width; width /= 2)
    for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  return sums[0] + rest;
}

// The largest of n numbers; NaN counts for nothing.
inline float largest_of(const float* x, int64_t n) {
  constexpr int lanes = 32;
  float best[lanes];
  std::fill(best, best + lanes, -std::numeric_limits<float>::infinity());
  const int64_t whole = n / lanes * lanes;
  for (int64_t j = 0; j < whole; j += lanes)
    for (int lane = 0; lane < lanes; ++lane) best[lane] = x[j + lane] > best[lane] ? x[j + lane] : best[lane];
  float rest = -std::numeric_limits<float>::infinity();
  for (int64_t j = whole; j < n; ++j) rest = x[j] > rest ? x[j] : rest;
  for (int width = lanes / 2; width; width /= 2)
    for (int lane = 0; lane < width; ++lane) best[lane] = std::max(best[lane], best[lane + width]);
  return std::max(best[0], rest);
}

// Asks for n numbers that will be needed soon. Worth it where rows are short: by the time the processor sees
// that they follow each other, the next one is due.
inline void fetch(const float* x, int64_t n) {
  for (int64_t j = 0; j < n; j += 16) __builtin_prefetch(x + j);
}

// Memory of this thread, kept from call to call; each use that may overlap another has its own slot.
template <int slot, class T = float>
T* scratch(int64_t count) {
  thread_local std::vector<T> memory;
  if (static_cast<int64_t>(memory.size()) < count) memory.resize(count);
  return memory.data();
}

}  // namespace chapbook::cpu
