// What follows a product while its numbers are in the first cache. Sums are f32; operands of bf16 are
// widened, and results rounded, a row at a time.
#include <algorithm>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/loop.h"
#include "tensor/math.h"

namespace chapbook::cpu {

namespace {

// n numbers of x from `offset` as f32: where they lie, or in `room`.
const float* as_f32(const View& x, int64_t offset, int64_t n, float* room) {
  if (x.dtype == DType::f32) return x.as<float>() + offset;
  const bf16* from = x.as<bf16>() + offset;
  for (int64_t c = 0; c < n; ++c) room[c] = static_cast<float>(from[c]);
  return room;
}

void store(const float* from, int64_t n, float* to) {
  if (to != from) std::copy(from, from + n, to);
}
void store(const float* from, int64_t n, bf16* to) {
  for (int64_t c = 0; c < n; ++c) to[c] = bf16(from[c]);
}

// Not templates, since the compiler vectorises a loop around a long formula only where the formula stands
// once.
void apply_gelu(int64_t n, float* x) {
  for (int64_t c = 0; c < n; ++c) x[c] = math::gelu(x[c]);
}
void times_gelu_derivative(int64_t n, const float* x, float* y) {
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) y[c] *= math::gelu_derivative(x[c]);
}

}  // namespace

template <class Number>
void finish(const Epilogue& epilogue, Matrix<float> sums, Matrix<Number> y, int64_t i, int64_t rows,
            int64_t j, int64_t columns) {
  float* const room = scratch<struct WidenedRow>(2 * columns);
  const float* bias = epilogue.bias ? as_f32(epilogue.bias, j, columns, room + columns) : nullptr;
  const auto row_of = [&](const View& x, int64_t row) {
    return as_f32(x, row * x.strides[0] + j, columns, room);
  };
  const bool added_to = std::is_same_v<Number, float> && epilogue.residual.data == y.data;
  for (int64_t row = i; row < i + rows; ++row) {
    float* to = sums.at(row - i, 0);
    if (bias)
      for (int64_t c = 0; c < columns; ++c) to[c] += bias[c];
    if (epilogue.activation == Activation::gelu) {
      if (const View& before = epilogue.before)
        store(to, columns, before.as<Number>() + row * before.strides[0] + j);
      apply_gelu(columns, to);
    }
    if (epilogue.activation == Activation::gelu_backward)
      times_gelu_derivative(columns, row_of(epilogue.before, row), to);
    if (epilogue.residual && !added_to) {
      const float* residual = row_of(epilogue.residual, row);
#pragma GCC ivdep
      for (int64_t c = 0; c < columns; ++c) to[c] += residual[c];
    }
    store(to, columns, y.at(row, j));
  }
}

template void finish(const Epilogue&, Matrix<float>, Matrix<float>, int64_t, int64_t, int64_t, int64_t);
template void finish(const Epilogue&, Matrix<float>, Matrix<bf16>, int64_t, int64_t, int64_t, int64_t);

}  // namespace chapbook::cpu
