// What follows a product while its numbers are in the first cache. Sums are f32; operands of bf16 are
// widened, and results rounded, a row at a time.
#include <algorithm>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/math.h"

namespace chapbook::cpu {

namespace {

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

void finish(const Epilogue& epilogue, Matrix<float> sums, const View& y, int64_t i, int64_t rows, int64_t j,
            int64_t columns) {
  float* const room = scratch<struct WidenedRow>(2 * columns);
  const float* bias = epilogue.bias ? read_row(epilogue.bias, j, columns, room + columns) : nullptr;
  const auto at = [&](const View& x, int64_t row) { return row * x.strides[0] + j; };
  const bool added_to = y.dtype == DType::f32 && epilogue.residual.data == y.data;
  for (int64_t row = i; row < i + rows; ++row) {
    float* to = sums.at(row - i, 0);
    if (bias)
      for (int64_t c = 0; c < columns; ++c) to[c] += bias[c];
    const View& before = epilogue.before;
    if (epilogue.activation == Activation::gelu) {
      if (before) write_row(to, columns, before, at(before, row));
      apply_gelu(columns, to);
    }
    if (epilogue.activation == Activation::gelu_backward)
      times_gelu_derivative(columns, read_row(before, at(before, row), columns, room), to);
    if (epilogue.residual && !added_to) {
      const float* residual = read_row(epilogue.residual, at(epilogue.residual, row), columns, room);
#pragma GCC ivdep
      for (int64_t c = 0; c < columns; ++c) to[c] += residual[c];
    }
    write_row(to, columns, y, at(y, row));
  }
}

}  // namespace chapbook::cpu
