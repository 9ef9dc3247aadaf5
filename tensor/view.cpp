#include "tensor/view.h"

#include <utility>

namespace chapbook {

bool View::contiguous() const {
  int64_t step = 1;
  for (int axis = shape.rank - 1; axis >= 0; --axis) {
    if (shape[axis] != 1 && strides[axis] != step) return false;
    step *= shape[axis];
  }
  return true;
}

View View::transpose(int axis, int other) const {
  View y = *this;
  axis = shape.axis(axis, "transpose");
  other = shape.axis(other, "transpose");
  std::swap(y.shape[axis], y.shape[other]);
  std::swap(y.strides[axis], y.strides[other]);
  return y;
}

View View::slice(int axis, int64_t from, int64_t to) const {
  axis = shape.axis(axis, "slice");
  check(0 <= from && from <= to && to <= shape[axis], "slice: {} to {} of axis {} in shape {}", from, to,
        axis, shape);
  View y = *this;
  y.data = as<char>() + from * strides[axis] * size_of(dtype);
  y.shape[axis] = to - from;
  return y;
}

View View::select(int axis, int64_t index) const {
  axis = shape.axis(axis, "select");
  check(0 <= index && index < shape[axis], "select: no index {} in axis {} of shape {}", index, axis, shape);
  View y = slice(axis, index, index + 1);
  y.shape = y.shape.without(axis);
  y.strides = y.strides.without(axis);
  return y;
}

View View::broadcast_to(const Shape& to) const {
  View y = *this;
  y.shape = to;
  y.strides = to;
  check(to.countable(), "broadcast_to: shape {} has a negative size or too many numbers", to);
  check(to.rank >= shape.rank, "broadcast_to: shape {} has more axes than {}", shape, to);
  for (int axis = 1; axis <= to.rank; ++axis) {
    const bool here = axis <= shape.rank;
    check(!here || shape[-axis] == to[-axis] || shape[-axis] == 1,
          "broadcast_to: shape {} does not stretch to {}", shape, to);
    y.strides[-axis] = here && shape[-axis] == to[-axis] ? strides[-axis] : 0;
  }
  return y;
}

// A reshape needs no copy when every new axis walks old axes that lie one behind the other. Groups of old and
// new axes with equal products are matched from the end; within a group the old strides must be those of
// gapless rows.
static bool reshape_strides(const View& x, const Shape& to, Strides& strides) {
  strides = contiguous_strides(to);
  if (x.count() == 0 || x.contiguous()) return true;
  int old_axis = x.shape.rank - 1, new_axis = to.rank - 1;
  while (new_axis >= 0 || old_axis >= 0) {
    while (old_axis >= 0 && x.shape[old_axis] == 1) --old_axis;
    while (new_axis >= 0 && to[new_axis] == 1) strides[new_axis--] = 1;
    if (new_axis < 0 || old_axis < 0) break;
    int64_t old_size = x.shape[old_axis], new_size = 1;
    const int64_t step = x.strides[old_axis];
    int64_t inner = step;
    while (true) {
      while (new_axis >= 0 && new_size < old_size) {
        strides[new_axis] = inner;
        inner *= to[new_axis];
        new_size *= to[new_axis--];
      }
      if (new_size == old_size) break;
      --old_axis;
      while (old_axis >= 0 && x.shape[old_axis] == 1) --old_axis;
      if (old_axis < 0 || x.strides[old_axis] != step * old_size) return false;
      old_size *= x.shape[old_axis];
    }
    --old_axis;
  }
  return true;
}

bool View::can_reshape(const Shape& to) const {
  Strides strides;
  return to.countable() && to.count() == count() && reshape_strides(*this, to, strides);
}

View View::reshape(const Shape& to) const {
  check(to.countable() && to.count() == count(), "reshape: {} has {} numbers, {} has {}", shape, count(), to,
        to.count());
  View y = *this;
  y.shape = to;
  check(reshape_strides(*this, to, y.strides), "reshape: the numbers of {} do not lie in the order of {}",
        shape, to);
  return y;
}

View View::once() const {
  View x = *this;
  for (int axis = 0; axis < shape.rank; ++axis)
    if (strides[axis] == 0) x.shape[axis] = std::min<int64_t>(shape[axis], 1);
  return x;
}

}  // namespace chapbook
