// Elementwise ops: one vectorised loop for each formula of tensor/elementwise.h and each pattern of strides
// that matters.
#include "tensor/elementwise.h"

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

namespace {

using cpu::grain;
using cpu::Loop;

// Operand and result may be the same memory, so each loop promises the compiler that elements do not depend
// on each other (ivdep).
template <class Formula, class X, class Y>
void unary_row(Formula formula, const X* x, int64_t dx, Y* y, int64_t dy, int64_t n) {
  if (dx == 1 && dy == 1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Y>(formula(x[i]));
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * dy] = static_cast<Y>(formula(x[i * dx]));
  }
}

template <class Formula, class X, class Y>
void binary_row(Formula formula, const X* a, int64_t da, const X* b, int64_t db, Y* y, int64_t dy,
                int64_t n) {
  if (da == 1 && db == 1 && dy == 1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Y>(formula(a[i], b[i]));
  } else if (da == 1 && db == 0 && dy == 1) {
    const X right = *b;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Y>(formula(a[i], right));
  } else if (da == 0 && db == 1 && dy == 1) {
    const X left = *a;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Y>(formula(left, b[i]));
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * dy] = static_cast<Y>(formula(a[i * da], b[i * db]));
  }
}

template <class T, class Y>
void binary_loop(Binary op, const View& a, const View& b, const View& y) {
  const Loop<3> loop(y.shape, {y.strides, a.strides, b.strides});
  visit(op, [&](auto formula) {
    parallel_for(y.count(), grain, [&](int64_t begin, int64_t end) {
      loop.run(begin, end, [&](const auto& at, int64_t n) {
        binary_row(formula, a.as<T>() + at[1], loop.strides[1][-1], b.as<T>() + at[2], loop.strides[2][-1],
                   y.as<Y>() + at[0], loop.strides[0][-1], n);
      });
    });
  });
}

template <class T>
void unary_loop(Unary op, const View& x, const View& y) {
  const Loop<2> loop(y.shape, {y.strides, x.strides});
  visit(op, [&](auto formula) {
    parallel_for(y.count(), grain, [&](int64_t begin, int64_t end) {
      loop.run(begin, end, [&](const auto& at, int64_t n) {
        unary_row(formula, x.as<T>() + at[1], loop.strides[1][-1], y.as<T>() + at[0], loop.strides[0][-1], n);
      });
    });
  });
}

template <class T>
void where_loop(const View& condition, const View& a, const View& b, const View& y) {
  const Loop<4> loop(y.shape, {y.strides, condition.strides, a.strides, b.strides});
  const int64_t dy = loop.strides[0][-1], dc = loop.strides[1][-1], da = loop.strides[2][-1],
                db = loop.strides[3][-1];
  parallel_for(y.count(), grain, [&](int64_t begin, int64_t end) {
    loop.run(begin, end, [&](const auto& at, int64_t n) {
      T* to = y.as<T>() + at[0];
      const uint8_t* chosen = condition.as<uint8_t>() + at[1];
      const T *left = a.as<T>() + at[2], *right = b.as<T>() + at[3];
      if (dy == 1 && dc == 1 && da == 1 && db == 1) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) to[i] = chosen[i] ? left[i] : right[i];
      } else {
        for (int64_t i = 0; i < n; ++i) to[i * dy] = chosen[i * dc] ? left[i * da] : right[i * db];
      }
    });
  });
}

}  // namespace

void CpuBackend::unary(Unary op, In x, Out y) {
  if (cpu::any_half({x, y})) return cpu::in_f32(*this, {&x}, {&y}, [&] { unary(op, x, y); });
  if (x.dtype == DType::f32 && y.dtype == DType::f32) return unary_loop<float>(op, x, y);
  if (x.dtype == DType::f64 && y.dtype == DType::f64) return unary_loop<double>(op, x, y);
  reference_backend().unary(op, x, y);
}

void CpuBackend::binary(Binary op, In a, In b, Out y) {
  if (cpu::any_half({a, b, y})) return cpu::in_f32(*this, {&a, &b}, {&y}, [&] { binary(op, a, b, y); });
  const DType result = is_comparison(op) ? DType::u8 : a.dtype;
  const bool covered = a.dtype == b.dtype && y.dtype == result;
  if (covered && a.dtype == DType::f32)
    return is_comparison(op) ? binary_loop<float, uint8_t>(op, a, b, y)
                             : binary_loop<float, float>(op, a, b, y);
  if (covered && a.dtype == DType::f64)
    return is_comparison(op) ? binary_loop<double, uint8_t>(op, a, b, y)
                             : binary_loop<double, double>(op, a, b, y);
  reference_backend().binary(op, a, b, y);
}

void CpuBackend::where(In condition, In a, In b, Out y) {
  if (cpu::any_half({a, b, y})) return cpu::in_f32(*this, {&a, &b}, {&y}, [&] { where(condition, a, b, y); });
  const bool covered = condition.dtype == DType::u8 && a.dtype == y.dtype && b.dtype == y.dtype;
  if (covered && y.dtype == DType::f32) return where_loop<float>(condition, a, b, y);
  if (covered && y.dtype == DType::f64) return where_loop<double>(condition, a, b, y);
  reference_backend().where(condition, a, b, y);
}

}  // namespace chapbook
