// Half types on the cpu are computed with in f32: numbers are those of a device that does so and stores
// halves. Loops over rows widen a row when they read it, and round it when it is done; it never leaves the
// first cache. Ops that are not worth it widen their operands whole, which costs a pass over memory for each.
#pragma once
#include <algorithm>
#include <initializer_list>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "tensor/backend.h"
#include "tensor/recycle.h"
#include "tensor/view.h"

namespace chapbook::cpu {

inline bool is_half(const View& x) { return x && (x.dtype == DType::bf16 || x.dtype == DType::f16); }

inline bool any_half(std::initializer_list<View> views) {
  return std::any_of(views.begin(), views.end(), is_half);
}

// Whether a number is at most as wide as f32, so that rows of these can be read and written as below.
inline bool up_to_f32(std::initializer_list<View> views) {
  return std::all_of(views.begin(), views.end(),
                     [](const View& x) { return !x || x.dtype == DType::f32 || is_half(x); });
}

// A row as f32: n numbers of x from `offset`, which lie side by side. Where they lie, or widened in `room`.
inline const float* read_row(const View& x, int64_t offset, int64_t n, float* room) {
  if (x.dtype == DType::f32) return x.as<float>() + offset;
  const auto widen = [&]<class T>(const T* from) {
    for (int64_t j = 0; j < n; ++j) room[j] = static_cast<float>(from[j]);
  };
  x.dtype == DType::bf16 ? widen(x.as<bf16>() + offset) : widen(x.as<f16>() + offset);
  return room;
}

// to = row, rounded as bf16(x) does, one by one.
inline void round_row(const float* row, int64_t n, bf16* to) {
  int64_t j = 0;
#ifdef __AVX512BF16__
  // The instruction takes numbers below the smallest normal one for zero: where there are any, it is not
  // used.
  for (; j + 32 <= n; j += 32) {
    const __m512 low = _mm512_loadu_ps(row + j), high = _mm512_loadu_ps(row + j + 16);
    constexpr int subnormal = 1 << 5;
    if (_mm512_fpclass_ps_mask(low, subnormal) | _mm512_fpclass_ps_mask(high, subnormal)) [[unlikely]]
      for (int64_t i = j; i < j + 32; ++i) to[i] = bf16(row[i]);
    else
      _mm512_storeu_si512(to + j, (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
#endif
  for (; j < n; ++j) to[j] = bf16(row[j]);
}

// Where to write a row of y, and how to bring it there when it is done.
inline float* row_to_write(const View& y, int64_t offset, float* room) {
  return y.dtype == DType::f32 ? y.as<float>() + offset : room;
}
inline void write_row(const float* row, int64_t n, const View& y, int64_t offset) {
  if (y.dtype == DType::bf16) return round_row(row, n, y.as<bf16>() + offset);
  if (y.dtype == DType::f16) {
    for (int64_t j = 0; j < n; ++j) y.as<f16>()[offset + j] = f16(row[j]);
    return;
  }
  if (row != y.as<float>() + offset) std::copy(row, row + n, y.as<float>() + offset);
}

// Views of a half type that are f32 copies while it lives.
class Widened {
 public:
  explicit Widened(Backend& backend) : backend_(backend) {}

  // Lets a view point to room in f32, which holds its numbers if they will be read.
  void widen(View& x, bool read) {
    if (!is_half(x)) return;
    View room = in_order_of(x);
    Scratch<float> memory(backend_.blocks(), room.count());
    room.data = memory.data();
    copies_.push_back({&x, x, room, std::move(memory)});
    if (read) backend_.copy(x.once(), room);
    x = room.broadcast_to(x.shape);
  }
  // Writes the numbers back to where a view pointed before.
  void round(const View& y) {
    for (const Copy& copy : copies_)
      if (copy.view == &y) backend_.copy(copy.room, copy.original.once());
  }

 private:
  struct Copy {
    const View* view;
    View original, room;
    Scratch<float> memory;  // of the room
  };

  // f32 without gaps whose axes follow each other as those of x do, so that copying walks both in order.
  static View in_order_of(const View& x) {
    View room = x.once();
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
