// Filling, copying and converting.
#include <cstring>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

namespace {

using cpu::grain;

// A transpose in blocks: walked row by row, every element read would be in another cache line. `across` is
// the axis along which x lies side by side; y does so along the last.
template <class T>
void copy_blocks(const Loop<2>& loop, int across, const T* x, T* y) {
  constexpr int64_t block = 32;
  const int64_t rows = loop.shape[across], columns = loop.shape[-1];
  const int64_t y_step = loop.strides[0][across], x_step = loop.strides[1][-1];
  const Shape outer = loop.shape.with(across, 1).with(-1, 1);
  const int64_t bands = (rows + block - 1) / block, area = block * columns;
  parallel_for(outer.count() * bands, std::max<int64_t>(1, grain / area), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t i0 = task % bands * block, i1 = std::min(rows, i0 + block);
      T* to = y + offset_of(task / bands, outer, loop.strides[0]);
      const T* from = x + offset_of(task / bands, outer, loop.strides[1]);
      for (int64_t j0 = 0; j0 < columns; j0 += block) {
        const int64_t j1 = std::min(columns, j0 + block);
        for (int64_t i = i0; i < i1; ++i)
          for (int64_t j = j0; j < j1; ++j) to[i * y_step + j] = from[i + j * x_step];
      }
    }
  });
}

template <class X, class Y>
void copy_loop(const View& x, const View& y) {
  const Loop<2> loop(y.shape, {y.strides, x.strides});
  const int64_t dy = loop.strides[0][-1], dx = loop.strides[1][-1];
  if constexpr (std::is_same_v<X, Y>) {
    for (int axis = 0; axis + 1 < loop.shape.rank; ++axis)
      if (dy == 1 && dx > 1 && loop.strides[1][axis] == 1 && loop.shape[axis] >= 4)
        return copy_blocks(loop, axis, x.as<X>(), y.as<Y>());
  }
  parallel_for(y.count(), grain, [&](int64_t begin, int64_t end) {
    loop.run(begin, end, [&](const auto& at, int64_t n) {
      Y* to = y.as<Y>() + at[0];
      const X* from = x.as<X>() + at[1];
      if (dx == 1 && dy == 1) {
        if constexpr (std::is_same_v<X, Y>)
          std::memcpy(to, from, n * sizeof(Y));
        else
          for (int64_t i = 0; i < n; ++i) to[i] = number_as<Y>(from[i]);
      } else {
        for (int64_t i = 0; i < n; ++i) to[i * dy] = number_as<Y>(from[i * dx]);
      }
    });
  });
}

}  // namespace

void CpuBackend::fill(Out y, double value) {
  const Loop<1> loop(y.shape, {y.strides});
  const int64_t dy = loop.strides[0][-1];
  visit(y.dtype, [&]<class T>(Type<T>) {
    const T number = number_as<T>(value);
    parallel_for(y.count(), grain, [&](int64_t begin, int64_t end) {
      loop.run(begin, end, [&](const auto& at, int64_t n) {
        T* to = y.as<T>() + at[0];
        if (dy == 1)
          std::fill(to, to + n, number);
        else
          for (int64_t i = 0; i < n; ++i) to[i * dy] = number;
      });
    });
  });
}

void CpuBackend::copy(In x, Out y) {
  if (x.dtype == y.dtype) {
    switch (size_of(x.dtype)) {
      case 1:
        return copy_loop<uint8_t, uint8_t>(x, y);
      case 2:
        return copy_loop<uint16_t, uint16_t>(x, y);
      case 4:
        return copy_loop<uint32_t, uint32_t>(x, y);
      case 8:
        return copy_loop<uint64_t, uint64_t>(x, y);
    }
  }
  if (y.dtype == DType::f32) return visit(x.dtype, [&]<class X>(Type<X>) { copy_loop<X, float>(x, y); });
  if (x.dtype == DType::f32 && is_float(y.dtype))
    return visit(y.dtype, [&]<class Y>(Type<Y>) { copy_loop<float, Y>(x, y); });
  if (cpu::any_half({x, y})) return cpu::in_f32(*this, {&x}, {&y}, [&] { copy(x, y); });
  reference_backend().copy(x, y);
}

}  // namespace chapbook
