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
using cpu::scratch;

// Operand and result may be the same memory, so each loop promises the compiler that elements do not depend
// on each other (ivdep). A formula that stayed a call, as the longest did, would be computed for one number
// at a time (flatten).
template <class Formula, class T>
[[gnu::flatten]] void unary_row(const T* x, int64_t dx, T* y, int64_t dy, int64_t n) {
  constexpr Formula formula;
  if (dx == 1 && dy == 1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = formula(x[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * dy] = formula(x[i * dx]);
  }
}

template <class Formula, class X, class Y>
[[gnu::flatten]] void binary_row(const X* a, int64_t da, const X* b, int64_t db, Y* y, int64_t dy,
                                 int64_t n) {
  constexpr Formula formula;
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

// Where rows of T begin, and where to write them: rows of halves are read and written through `room`.
template <class T>
const T* read(const View& x, int64_t offset, int64_t n, [[maybe_unused]] T* room) {
  if constexpr (std::is_same_v<T, float>)
    return cpu::read_row(x, offset, n, room);
  else
    return x.as<T>() + offset;
}
template <class Y>
Y* to_write(const View& y, int64_t offset, [[maybe_unused]] Y* room) {
  if constexpr (std::is_same_v<Y, float>)
    return cpu::row_to_write(y, offset, room);
  else
    return y.as<Y>() + offset;
}
template <class Y>
void written([[maybe_unused]] const Y* row, [[maybe_unused]] int64_t n, const View& y,
             [[maybe_unused]] int64_t offset) {
  if (cpu::is_half(y))
    if constexpr (std::is_same_v<Y, float>) cpu::write_row(row, n, y, offset);
}

// How many numbers of a row are taken at once: those of halves stay in the first cache as f32.
constexpr int64_t piece = 1024;
int64_t at_once(std::initializer_list<View> views) { return cpu::any_half(views) ? piece : grain; }

// What computes a row is chosen once, by the op; all around it is the same for every op, and compiled once.
template <class T, class Y>
void binary_loop(Binary op, const View& a, const View& b, const View& y, const Loop<3>& loop) {
  const int64_t dy = loop.strides[0][-1], da = loop.strides[1][-1], db = loop.strides[2][-1];
  const int64_t most = at_once({a, b, y});
  const auto compute = visit(op, [](auto formula) { return &binary_row<decltype(formula), T, Y>; });
  parallel_for(y.count(), grain, [&](int64_t begin, int64_t end) {
    T* const room = scratch<struct Operands, T>(2 * piece);
    Y* const result = scratch<struct Result, Y>(piece);
    loop.run(begin, end, [&](const auto& at, int64_t n) {
      for (int64_t i = 0; i < n; i += most) {
        const int64_t here = std::min(most, n - i), to_at = at[0] + i * dy;
        const T* left = read(a, at[1] + i * da, da ? here : 1, room);
        const T* right = read(b, at[2] + i * db, db ? here : 1, room + piece);
        Y* to = to_write(y, to_at, result);
        compute(left, da, right, db, to, dy, here);
        written(to, here, y, to_at);
      }
    });
  });
}

template <class T>
void unary_loop(Unary op, const View& x, const View& y, const Loop<2>& loop) {
  const int64_t dy = loop.strides[0][-1], dx = loop.strides[1][-1], most = at_once({x, y});
  const auto compute = visit(op, [](auto formula) { return &unary_row<decltype(formula), T>; });
  parallel_for(y.count(), grain, [&](int64_t begin, int64_t end) {
    T* const room = scratch<struct Operands, T>(2 * piece);
    loop.run(begin, end, [&](const auto& at, int64_t n) {
      for (int64_t i = 0; i < n; i += most) {
        const int64_t here = std::min(most, n - i), to_at = at[0] + i * dy;
        const T* from = read(x, at[1] + i * dx, dx ? here : 1, room);
        T* to = to_write(y, to_at, room + piece);
        compute(from, dx, to, dy, here);
        written(to, here, y, to_at);
      }
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

// Whether operands of half types, if any, have rows that can be read and written a piece at a time.
template <int N>
static bool dense_halves(const Loop<N>& loop, const std::array<View, N>& views) {
  for (int i = 0; i < N; ++i)
    if (cpu::is_half(views[i]) && loop.strides[i][-1] != 1 && (i == 0 || loop.strides[i][-1] != 0))
      return false;
  return true;
}

void CpuBackend::unary(Unary op, In x, Out y) {
  const Loop<2> loop(y.shape, {y.strides, x.strides});
  if (x.dtype == DType::f64 && y.dtype == DType::f64) return unary_loop<double>(op, x, y, loop);
  if (!cpu::up_to_f32({x, y})) return reference_backend().unary(op, x, y);
  if (dense_halves<2>(loop, {y, x})) return unary_loop<float>(op, x, y, loop);
  cpu::in_f32(*this, {&x}, {&y}, [&] { unary(op, x, y); });
}

void CpuBackend::binary(Binary op, In a, In b, Out y) {
  const Loop<3> loop(y.shape, {y.strides, a.strides, b.strides});
  const bool compares = is_comparison(op) && y.dtype == DType::u8;
  const bool in_f64 = a.dtype == DType::f64 && b.dtype == DType::f64;
  if (in_f64 && compares) return binary_loop<double, uint8_t>(op, a, b, y, loop);
  if (in_f64 && y.dtype == DType::f64) return binary_loop<double, double>(op, a, b, y, loop);
  if (!cpu::up_to_f32({a, b}) || !(compares || cpu::up_to_f32({y})))
    return reference_backend().binary(op, a, b, y);
  if (!dense_halves<3>(loop, {y, a, b}))
    return cpu::in_f32(*this, {&a, &b}, {&y}, [&] { binary(op, a, b, y); });
  compares ? binary_loop<float, uint8_t>(op, a, b, y, loop) : binary_loop<float, float>(op, a, b, y, loop);
}

void CpuBackend::where(In condition, In a, In b, Out y) {
  if (cpu::any_half({a, b, y})) return cpu::in_f32(*this, {&a, &b}, {&y}, [&] { where(condition, a, b, y); });
  const bool covered = condition.dtype == DType::u8 && a.dtype == y.dtype && b.dtype == y.dtype;
  if (covered && y.dtype == DType::f32) return where_loop<float>(condition, a, b, y);
  if (covered && y.dtype == DType::f64) return where_loop<double>(condition, a, b, y);
  reference_backend().where(condition, a, b, y);
}

}  // namespace chapbook
