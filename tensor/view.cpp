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

// A reshape needs no copy when every new axis lies inside one run of old axes that can be joined. So the old
// axes are joined, from the last one on, as far as they go, and the new ones split the runs.
static bool reshape_strides(const View& x, const Shape& to, Strides& strides) {
  strides = contiguous_strides(to);
  if (x.count() == 0) return true;
  int64_t sizes[Shape::max_rank], steps[Shape::max_rank];  // of each run, the last one first
  int runs = 0;
  for (int axis = x.shape.rank - 1; axis >= 0; --axis) {
    if (x.shape[axis] == 1) continue;
    if (runs > 0 && x.strides[axis] == sizes[runs - 1] * steps[runs - 1])
      sizes[runs - 1] *= x.shape[axis];
    else
      sizes[runs] = x.shape[axis], steps[runs++] = x.strides[axis];
  }
  int run = 0;
  int64_t inner = 1;  // how many numbers of this run the new axes hold so far
  for (int axis = to.rank - 1; axis >= 0; --axis) {
    if (to[axis] == 1) continue;
    if (inner == sizes[run]) ++run, inner = 1;
    if (sizes[run] % (inner * to[axis]) != 0) return false;  // it would reach into the next run
    strides[axis] = inner * steps[run];
    inner *= to[axis];
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
