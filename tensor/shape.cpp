#include "tensor/shape.h"

#include <algorithm>

namespace chapbook {

Shape::Shape(const int64_t* sizes, int count) : rank(count) {
  check(count <= max_rank, "shape: {} axes, at most {} are possible", count, max_rank);
  for (int i = 0; i < count; ++i) size[i] = sizes[i];
}

int64_t Shape::count() const {
  int64_t product = 1;
  for (int64_t n : *this) product *= n;
  return product;
}

bool Shape::countable() const {
  int64_t product = 1;  // zeros left out, so that strides can be counted too
  for (int64_t n : *this)
    if (n < 0 || __builtin_mul_overflow(product, std::max<int64_t>(n, 1), &product) ||
        product > int64_t{1} << 59)
      return false;
  return true;
}

int Shape::axis(int axis, const char* op) const {
  check(axis >= -rank && axis < rank, "{}: no axis {} in shape {}", op, axis, *this);
  return axis < 0 ? axis + rank : axis;
}

Shape Shape::with(int axis, int64_t new_size) const {
  Shape result = *this;
  result.size[this->axis(axis, "shape")] = new_size;
  return result;
}

Shape Shape::without(int axis) const {
  Shape result = *this;
  axis = this->axis(axis, "shape");
  std::copy(size + axis + 1, size + rank, result.size + axis);
  --result.rank;
  return result;
}

std::string Shape::to_string() const {
  std::string text = "(";
  for (int i = 0; i < rank; ++i) text += (i ? ", " : "") + std::to_string(size[i]);
  return text + (rank == 1 ? ",)" : ")");
}

bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t step = 1;
  for (int i = shape.rank - 1; i >= 0; --i) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  Shape result = a.rank >= b.rank ? a : b;
  for (int i = 1; i <= std::min(a.rank, b.rank); ++i) {
    check(a[-i] == b[-i] || a[-i] == 1 || b[-i] == 1,
          "{}: shapes {} and {} do not stretch to each other (axis {} from the end)", op, a, b, i);
    result[-i] = a[-i] == 1 ? b[-i] : a[-i];
  }
  return result;
}

Shape reduced(const Shape& shape, const std::vector<int>& axes, bool keep, const char* op) {
  bool gone[Shape::max_rank] = {};
  for (int axis : axes) gone[shape.axis(axis, op)] = true;
  if (axes.empty()) std::fill(gone, gone + shape.rank, true);
  Shape result;
  for (int i = 0; i < shape.rank; ++i)
    if (!gone[i] || keep) result.size[result.rank++] = gone[i] ? 1 : shape[i];
  return result;
}

}  // namespace chapbook
