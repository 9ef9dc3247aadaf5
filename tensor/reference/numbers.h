// How the reference loops read and write: any dtype, any strides, always as double, so that a loop reads like
// its formula.
//   Numbers x(view);  y(i, j) = x(i, k) + 1;
// Slow on purpose: one switch and a few multiplications an element.
#pragma once
#include "tensor/view.h"

namespace chapbook {

// One element in place.
class Number {
 public:
  Number(void* data, DType dtype, int64_t offset) : data_(data), dtype_(dtype), offset_(offset) {}
  operator double() const {
    return visit(dtype_,
                 [&]<class T>(Type<T>) { return number_as<double>(static_cast<T*>(data_)[offset_]); });
  }
  void operator=(double value) const {
    visit(dtype_, [&]<class T>(Type<T>) { static_cast<T*>(data_)[offset_] = number_as<T>(value); });
  }
  void operator=(const Number& x) const { *this = static_cast<double>(x); }
  void operator+=(double value) const { *this = *this + value; }

 private:
  void* data_;
  DType dtype_;
  int64_t offset_;
};

// A view whose elements are reached by their indices: one for each axis, or an Index over all of them.
class Numbers {
 public:
  explicit Numbers(const View& view) : view_(view) {}
  template <class... I>
  requires(std::is_integral_v<I>&&...) Number operator()(I... index) const {
    int64_t offset = 0;
    int axis = 0;
    ((offset += index * view_.strides.size[axis++]), ...);
    return {view_.data, view_.dtype, offset};
  }
  Number operator()(const Index& index) const {
    return {view_.data, view_.dtype, index.offset(view_.strides)};
  }

 private:
  View view_;
};

// What is left of a view (..., n) or (..., m, n) when its leading axes are fixed.
inline Numbers at(const View& x, const Index& leading) {
  View y = x;
  y.data = x.as<char>() + leading.offset(x.strides) * size_of(x.dtype);
  const int rank = leading.shape.rank;
  y.shape = Shape(x.shape.size + rank, x.shape.rank - rank);
  y.strides = Strides(x.strides.size + rank, x.shape.rank - rank);
  return Numbers(y);
}

// The leading axes: all but the last `count`.
inline Shape leading(const Shape& shape, int count) { return Shape(shape.size, shape.rank - count); }

}  // namespace chapbook
