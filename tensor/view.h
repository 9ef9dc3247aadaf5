// View: what a kernel sees of a tensor. Data, dtype, shape and strides; never who owns the memory.
#pragma once
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace chapbook {

struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  Strides strides;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  explicit operator bool() const { return data != nullptr; }
  int64_t count() const { return shape.count(); }
  bool contiguous() const;  // row after row without gaps; axes of size 1 do not count

  // Other views of the same numbers.
  View transpose(int axis, int other) const;
  View slice(int axis, int64_t from, int64_t to) const;
  View select(int axis, int64_t index) const;  // one index of an axis, which disappears
  View broadcast_to(const Shape& to) const;    // stride 0 where an axis is repeated
  bool can_reshape(const Shape& to) const;     // is there a view of that shape?
  View reshape(const Shape& to) const;
  View once() const;  // axes along which a stride of 0 repeats numbers get size 1
};

// A view as a kernel takes it: numbers it reads, numbers it writes (all of them, whatever was there), or
// both.
struct In : View {
  In(const View& view = {}) : View(view) {}
  void operands(auto&& visit) { visit(*this, true, false); }
};
struct Out : View {
  Out(const View& view = {}) : View(view) {}
  void operands(auto&& visit) { visit(*this, false, true); }
};
struct InOut : View {
  InOut(const View& view = {}) : View(view) {}
  void operands(auto&& visit) { visit(*this, true, true); }
};

// Steps through all indices of a shape, last axis fastest: for (Index i(shape); i; ++i).
struct Index {
  Shape shape;
  int64_t at[Shape::max_rank] = {};
  bool more;

  explicit Index(const Shape& s) : shape(s), more(s.count() > 0) {}
  explicit operator bool() const { return more; }
  void operator++() {
    for (int axis = shape.rank - 1; axis >= 0; --axis) {
      if (++at[axis] < shape.size[axis]) return;
      at[axis] = 0;
    }
    more = false;
  }
  int64_t offset(const Strides& strides) const {
    int64_t sum = 0;
    for (int axis = 0; axis < shape.rank; ++axis) sum += at[axis] * strides.size[axis];
    return sum;
  }
};

}  // namespace chapbook
