// Softmax, its logarithm and the loss on top of them, row by row. A row is read from memory once: it is taken
// in pieces that stay in the first cache, each with its own largest number, and the running sum is rescaled
// when a larger one turns up (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax").
#include <array>
#include <cmath>
#include <tuple>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

namespace {

using cpu::grain;
using cpu::read_row;
using cpu::row_to_write;
using cpu::scratch;
using cpu::sum_of;
using cpu::write_row;

// log(sum(exp(x))) of n numbers.
float log_sum_exp(const float* x, int64_t n) {
  constexpr int64_t piece = 2048;
  float exps[piece];
  float largest = -std::numeric_limits<float>::infinity();
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += piece) {
    const int64_t count = std::min(piece, n - begin);
    const float* here = x + begin;
    const float before = largest;
    largest = std::max(largest, cpu::largest_of(here, count));
    if (before < largest) sum *= std::exp(static_cast<double>(before) - largest);
    const float offset =
        largest == -std::numeric_limits<float>::infinity() ? 0 : largest;  // masked so far: no 0 * infinity
    for (int64_t j = 0; j < count; ++j) exps[j] = math::exp(here[j] - offset);
    sum += sum_of(count, [&](int64_t j) { return exps[j]; });
  }
  return static_cast<float>(largest + std::log(sum));
}

// Calls f(n, x..., y) for every row of views of one shape, in parallel; numbers of a row lie side by side.
template <class F, class... Views>
void for_rows(F&& f, const View& y, const Views&... xs) {
  const int64_t n = y.shape[-1];
  const Shape rows = y.shape.without(-1);
  parallel_for(rows.count(), std::max<int64_t>(1, grain / std::max<int64_t>(n, 1)),
               [&](int64_t begin, int64_t end) {
                 float* const room = scratch<struct WidenedRows>((1 + sizeof...(xs)) * n);
                 for (int64_t row = begin; row < end; ++row) {
                   float* next = room;
                   const auto read = [&](const View& x) {
                     return read_row(x, offset_of(row, rows, x.strides), n, next += n);
                   };
                   const int64_t at = offset_of(row, rows, y.strides);
                   float* const to = row_to_write(y, at, room);
                   const std::array<const float*, sizeof...(xs)> from = {read(xs)...};
                   std::apply([&](auto... x) { f(n, x..., to); }, from);
                   write_row(to, n, y, at);
                 }
               });
}

// Rows of numbers up to f32, and what there is one of for each row in f32.
bool covered(std::initializer_list<View> rows, std::initializer_list<View> numbers = {}) {
  return cpu::up_to_f32(rows) && cpu::dense_rows(rows) && cpu::all_f32(numbers);
}

double rows_that_count(const View& targets, const CrossEntropy& options) {
  if (options.count) return *options.count.as<double>();
  int64_t count = 0;
  for (int64_t i = 0; i < targets.shape[0]; ++i)
    count += targets.as<int32_t>()[i * targets.strides[0]] != options.ignore;
  return static_cast<double>(count);
}

}  // namespace

void CpuBackend::softmax(In x_view, Out y_view) {
  if (!covered({x_view, y_view})) return reference_backend().softmax(x_view, y_view);
  for_rows(
      [](int64_t n, const float* x, float* y) {
        const float largest = cpu::largest_of(x, n);
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) y[j] = math::exp(x[j] - largest);
        const float scale = 1 / sum_of(n, [&](int64_t j) { return y[j]; });
        for (int64_t j = 0; j < n; ++j) y[j] *= scale;
      },
      y_view, x_view);
}

void CpuBackend::softmax_backward(In y_view, In dy_view, Out dx_view) {
  if (!covered({y_view, dy_view, dx_view}))
    return reference_backend().softmax_backward(y_view, dy_view, dx_view);
  for_rows(
      [](int64_t n, const float* y, const float* dy, float* dx) {
        const float sum = sum_of(n, [&](int64_t j) { return y[j] * dy[j]; });
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) dx[j] = y[j] * (dy[j] - sum);
      },
      dx_view, y_view, dy_view);
}

void CpuBackend::log_softmax(In x_view, Out y_view) {
  if (!covered({x_view, y_view})) return reference_backend().log_softmax(x_view, y_view);
  for_rows(
      [](int64_t n, const float* x, float* y) {
        const float log_sum = log_sum_exp(x, n);
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) y[j] = x[j] - log_sum;
      },
      y_view, x_view);
}

void CpuBackend::log_softmax_backward(In y_view, In dy_view, Out dx_view) {
  if (!covered({y_view, dy_view, dx_view}))
    return reference_backend().log_softmax_backward(y_view, dy_view, dx_view);
  for_rows(
      [](int64_t n, const float* y, const float* dy, float* dx) {
        const float sum = sum_of(n, [&](int64_t j) { return dy[j]; });
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) dx[j] = dy[j] - math::exp(y[j]) * sum;
      },
      dx_view, y_view, dy_view);
}

void CpuBackend::cross_entropy(In logits, In targets, CrossEntropy options, Out loss, Out log_sum) {
  if (!covered({logits}, {loss, log_sum}))
    return reference_backend().cross_entropy(logits, targets, options, loss, log_sum);
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  double* row_loss = scratch<struct RowLoss, double>(rows);  // added up in order at the end
  const double s = options.smoothing;
  parallel_for(
      rows, std::max<int64_t>(1, grain / std::max<int64_t>(classes, 1)), [&](int64_t begin, int64_t end) {
        float* const room = scratch<struct Logits>(classes);
        for (int64_t i = begin; i < end; ++i) {
          const float* x = read_row(logits, i * logits.strides[0], classes, room);
          const float row_log_sum = log_sum_exp(x, classes);
          log_sum.as<float>()[i * log_sum.strides[0]] = row_log_sum;
          const int32_t target = targets.as<int32_t>()[i * targets.strides[0]];
          row_loss[i] = 0;
          if (target == options.ignore) continue;
          const double mean =
              s == 0 ? 0 : sum_of(classes, [&](int64_t j) { return x[j]; }) / static_cast<double>(classes);
          row_loss[i] = double{row_log_sum} - x[target] + s * (x[target] - mean);
        }
      });
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) total += row_loss[i];
  const double counted = rows_that_count(targets, options);
  *loss.as<float>() = counted > 0 ? static_cast<float>(total / counted) : 0;
}

void CpuBackend::cross_entropy_backward(In logits, In targets, CrossEntropy options, In log_sum, In dloss,
                                        Out dlogits) {
  if (!covered({logits, dlogits}, {log_sum, dloss}))
    return reference_backend().cross_entropy_backward(logits, targets, options, log_sum, dloss, dlogits);
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const double counted = rows_that_count(targets, options);
  const float scale = *dloss.as<float>() / static_cast<float>(std::max(counted, 1.0));
  const float target_share = static_cast<float>(1 - options.smoothing);
  const float every_share = static_cast<float>(options.smoothing / static_cast<double>(classes));
  parallel_for(rows, std::max<int64_t>(1, grain / std::max<int64_t>(classes, 1)),
               [&](int64_t begin, int64_t end) {
                 float* const room = scratch<struct Logits>(2 * classes);
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t at = i * dlogits.strides[0];
                   float* dx = row_to_write(dlogits, at, room);
                   const int32_t target = targets.as<int32_t>()[i * targets.strides[0]];
                   if (target == options.ignore) {
                     std::fill(dx, dx + classes, 0.0f);
                     write_row(dx, classes, dlogits, at);
                     continue;
                   }
                   const float* x = read_row(logits, i * logits.strides[0], classes, room + classes);
                   const float row_log_sum = log_sum.as<float>()[i * log_sum.strides[0]];
                   const float at_target = x[target];  // dx may be the memory of x
#pragma GCC ivdep
                   for (int64_t j = 0; j < classes; ++j)
                     dx[j] = scale * (math::exp(x[j] - row_log_sum) - every_share);
                   dx[target] = scale * (math::exp(at_target - row_log_sum) - every_share - target_share);
                   write_row(dx, classes, dlogits, at);
                 }
               });
}

}  // namespace chapbook
