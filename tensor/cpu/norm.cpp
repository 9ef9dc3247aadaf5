// Layer normalisation: a row stays in the first cache between its passes. The gradients of weight and bias
// are summed over pieces of 64 rows, and the pieces in order.
#include <cmath>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

using cpu::grain;
using cpu::read_row;
using cpu::row_to_write;
using cpu::scratch;
using cpu::sum_of;
using cpu::write_row;

static constexpr int64_t rows_ahead = 8;  // rows asked for before they are needed

static void fetch_row(const View& x, int64_t row) {
  const int64_t size = size_of(x.dtype);
  cpu::fetch(x.as<char>() + row * x.strides[0] * size, x.shape[1] * size);
}

void CpuBackend::layer_norm(In x_view, In weight_view, In bias_view, double epsilon, Out y_view,
                            Out mean_view, Out rstd_view) {
  const std::initializer_list<View> rows_of = {x_view, weight_view, bias_view, y_view};
  if (!cpu::up_to_f32(rows_of) || !cpu::dense_rows(rows_of) || !cpu::all_f32({mean_view, rstd_view}))
    return reference_backend().layer_norm(x_view, weight_view, bias_view, epsilon, y_view, mean_view,
                                          rstd_view);
  const int64_t rows = x_view.shape[0], n = x_view.shape[1];
  float* const room = scratch<struct Parameters>(2 * n);
  const float* weight = read_row(weight_view, 0, n, room);
  const float* bias = bias_view ? read_row(bias_view, 0, n, room + n) : nullptr;
  parallel_for(rows, std::max<int64_t>(1, grain / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
    float* const row_room = scratch<struct Rows>(2 * n);
    for (int64_t i = begin; i < end; ++i) {
      fetch_row(x_view, i + rows_ahead);
      const float* x = read_row(x_view, i * x_view.strides[0], n, row_room);
      float* y = row_to_write(y_view, i * y_view.strides[0], row_room + n);
      const float count = static_cast<float>(n);
      const float mean = sum_of(n, [&](int64_t j) { return x[j]; }) / count;
      const float variance = sum_of(n, [&](int64_t j) { return (x[j] - mean) * (x[j] - mean); }) / count;
      const float rstd = 1 / std::sqrt(variance + static_cast<float>(epsilon));
      if (bias) {
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) y[j] = (x[j] - mean) * rstd * weight[j] + bias[j];
      } else {
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) y[j] = (x[j] - mean) * rstd * weight[j];
      }
      write_row(y, n, y_view, i * y_view.strides[0]);
      mean_view.as<float>()[i * mean_view.strides[0]] = mean;
      rstd_view.as<float>()[i * rstd_view.strides[0]] = rstd;
    }
  });
}

void CpuBackend::layer_norm_backward(In x_view, In weight_view, In mean_view, In rstd_view, In dy_view,
                                     Out dx_view, Out dweight_view, Out dbias_view) {
  const std::initializer_list<View> dense = {x_view, weight_view, dy_view, dx_view, dweight_view, dbias_view};
  if (!cpu::up_to_f32(dense) || !cpu::all_f32({mean_view, rstd_view}) || !cpu::dense_rows(dense))
    return reference_backend().layer_norm_backward(x_view, weight_view, mean_view, rstd_view, dy_view,
                                                   dx_view, dweight_view, dbias_view);
  constexpr int64_t piece_rows = 64;
  const int64_t rows = x_view.shape[0], n = x_view.shape[1], pieces = (rows + piece_rows - 1) / piece_rows;
  const float* weight = read_row(weight_view, 0, n, scratch<struct Parameters>(n));
  float* partial = scratch<struct Partial>(pieces * 2 * n);  // for each piece: dweight, dbias
  parallel_for(pieces, std::max<int64_t>(1, grain / std::max<int64_t>(n * piece_rows, 1)),
               [&](int64_t begin, int64_t end) {
                 float* const room = scratch<struct Rows>(3 * n);
                 for (int64_t piece = begin; piece < end; ++piece) {
                   float *dweight = partial + piece * 2 * n, *dbias = dweight + n;
                   std::fill(dweight, dweight + 2 * n, 0.0f);
                   for (int64_t i = piece * piece_rows; i < std::min(rows, (piece + 1) * piece_rows); ++i) {
                     fetch_row(x_view, i + rows_ahead);
                     fetch_row(dy_view, i + rows_ahead);
                     const float* x = read_row(x_view, i * x_view.strides[0], n, room);
                     const float* dy = read_row(dy_view, i * dy_view.strides[0], n, room + n);
                     float* dx = row_to_write(dx_view, i * dx_view.strides[0], room + 2 * n);
                     const float mean = mean_view.as<float>()[i * mean_view.strides[0]];
                     const float rstd = rstd_view.as<float>()[i * rstd_view.strides[0]];
                     const float count = static_cast<float>(n);
                     const float mean_du = sum_of(n, [&](int64_t j) { return dy[j] * weight[j]; }) / count;
                     const float mean_du_u =
                         sum_of(n, [&](int64_t j) { return dy[j] * weight[j] * ((x[j] - mean) * rstd); }) /
                         count;
#pragma GCC ivdep
                     for (int64_t j = 0; j < n; ++j) {
                       const float u = (x[j] - mean) * rstd, g = dy[j];
                       dweight[j] += g * u;
                       dbias[j] += g;
                       dx[j] = rstd * (g * weight[j] - mean_du - u * mean_du_u);
                     }
                     write_row(dx, n, dx_view, i * dx_view.strides[0]);
                   }
                 }
               });
  double* sums = scratch<struct Sums, double>(2 * n);
  std::fill(sums, sums + 2 * n, 0.0);
  for (int64_t piece = 0; piece < pieces; ++piece)
    for (int64_t j = 0; j < 2 * n; ++j) sums[j] += partial[piece * 2 * n + j];
  float* const rounded = scratch<struct Rounded>(2 * n);
  std::copy(sums, sums + 2 * n, rounded);
  write_row(rounded, n, dweight_view, 0);
  if (dbias_view) write_row(rounded + n, n, dbias_view, 0);
}

}  // namespace chapbook
