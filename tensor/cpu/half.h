// Half types on the cpu are emulated: an op widens its operands to f32, runs the loops for f32, and rounds
// what they wrote. Numbers are those of a device that computes in f32 and stores halves; the price is a pass
// over memory for every operand.
#pragma once
#include <algorithm>
#include <initializer_list>

#include "tensor/backend.h"
#include "tensor/recycle.h"

namespace chapbook::cpu {

inline bool is_half(const View& x) { return x && (x.dtype == DType::bf16 || x.dtype == DType::f16); }

inline bool any_half(std::initializer_list<View> views) {
  return std::any_of(views.begin(), views.end(), is_half);
}

// Views of a half type that are f32 copies while it lives.
class Widened {
 public:
  explicit Widened(Backend& backend) : backend_(backend) {}
  ~Widened() {
    for (const Copy& copy : copies_) backend_.blocks().give_back(copy.room.data, bytes(copy.room));
  }
  Widened(const Widened&) = delete;

  // Lets a view point to room in f32, which holds its numbers if they will be read.
  void widen(View& x, bool read) {
    if (!is_half(x)) return;
    View room = in_order_of(x);
    room.data = backend_.blocks().take(bytes(room));
    copies_.push_back({&x, x, room});
    if (read) backend_.copy(once(x), room);
    x = room.broadcast_to(x.shape);
  }
  // Writes the numbers back to where a view pointed before.
  void round(const View& y) {
    for (const Copy& copy : copies_)
      if (copy.view == &y) backend_.copy(copy.room, once(copy.original));
  }

 private:
  struct Copy {
    const View* view;
    View original, room;
  };
  static size_t bytes(const View& room) { return static_cast<size_t>(room.count()) * sizeof(float); }

  // Numbers that a stride of 0 repeats are there once.
  static View once(View x) {
    for (int axis = 0; axis < x.shape.rank; ++axis)
      if (x.strides[axis] == 0 && x.shape[axis] > 1) x.shape[axis] = 1;
    return x;
  }
  // f32 without gaps whose axes follow each other as those of x do, so that copying walks both in order.
  static View in_order_of(const View& x) {
    View room = once(x);
    room.dtype = DType::f32;
    int order[Shape::max_rank];  // the axes, that of the smallest stride first
    for (int axis = 0; axis < x.shape.rank; ++axis) {
      int at = axis;
      for (; at > 0 && x.strides[order[at - 1]] >= x.strides[axis]; --at) order[at] = order[at - 1];
      order[at] = axis;
    }
    int64_t step = 1;
    for (int i = 0; i < x.shape.rank; ++i) {
      room.strides[order[i]] = step;
      step *= std::max<int64_t>(1, room.shape[order[i]]);
    }
    return room;
  }

  Backend& backend_;
  RecycledVector<Copy> copies_;
};

// Calls compute() while the views of half types among `read` and `written` are f32; a view may be in both.
template <class F>
void in_f32(Backend& backend, std::initializer_list<View*> read, std::initializer_list<View*> written,
            F&& compute) {
  Widened widened(backend);
  for (View* x : read) widened.widen(*x, true);
  for (View* y : written) widened.widen(*y, false);  // one that is read too is f32 already
  compute();
  for (const View* y : written) widened.round(*y);
}

}  // namespace chapbook::cpu
