// Shape: the sizes of a tensor's axes, at most six; the same type holds strides. Trivially copyable, so that
// kernels on any device take it by value.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensor/check.h"

namespace chapbook {

struct Shape {
  static constexpr int max_rank = 6;

  int rank = 0;
  int64_t size[max_rank] = {};

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(sizes.begin(), static_cast<int>(sizes.size())) {}
  Shape(const int64_t* sizes, int count);

  // Negative axes count from the end: shape[-1] is the last size.
  int64_t operator[](int axis) const { return size[axis < 0 ? axis + rank : axis]; }
  int64_t& operator[](int axis) { return size[axis < 0 ? axis + rank : axis]; }
  const int64_t* begin() const { return size; }
  const int64_t* end() const { return size + rank; }

  int64_t count() const;   // product of all sizes; 1 for a scalar (rank 0)
  bool countable() const;  // no negative size, and few enough numbers (2^59) to count their bytes
  int axis(int axis, const char* op) const;  // the axis counted from the front; throws if there is none
  Shape with(int axis, int64_t size) const;  // a copy with one size replaced
  Shape without(int axis) const;             // a copy with one axis taken out
  std::string to_string() const;             // "(2, 3)"

  friend bool operator==(const Shape& a, const Shape& b);
};

using Strides = Shape;  // in elements, not bytes; 0 repeats the same number along an axis

// The strides of numbers stored row after row without gaps.
Strides contiguous_strides(const Shape& shape);

// The shape two shapes stretch to: aligned at the last axis, a size 1 (or a missing axis) repeats. Throws
// naming `op`.
Shape broadcast(const Shape& a, const Shape& b, const char* op);

// The shape left when `axes` (all when empty) are reduced: kept with size 1, or taken out.
Shape reduced(const Shape& shape, const std::vector<int>& axes, bool keep, const char* op);

}  // namespace chapbook

template <>
struct fmt::formatter<chapbook::Shape> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const chapbook::Shape& shape, Context& context) const {
    return fmt::formatter<std::string>::format(shape.to_string(), context);
  }
};
