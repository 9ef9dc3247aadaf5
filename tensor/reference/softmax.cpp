// Softmax and its logarithm, row by row along the last axis. The largest number is subtracted first, so that
// exp cannot overflow.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

// log(sum(exp(x))) of a row of n numbers.
static double log_sum_exp(const Numbers& x, int64_t n) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < n; ++j) largest = std::max(largest, double{x(j)});
  double sum = 0;
  for (int64_t j = 0; j < n; ++j) sum += std::exp(x(j) - largest);
  return largest + std::log(sum);
}

void ReferenceBackend::softmax(In x_view, Out y_view) {
  const int64_t n = x_view.shape[-1];
  for (Index row(leading(x_view.shape, 1)); row; ++row) {
    const Numbers x = at(x_view, row), y = at(y_view, row);
    const double log_sum = log_sum_exp(x, n);
    for (int64_t j = 0; j < n; ++j) y(j) = std::exp(x(j) - log_sum);
  }
}

// y = exp(x) / sum(exp(x)) gives dy_j / dx_k = y_j ([j = k] - y_k), hence dx = y (dy - sum(dy y)).
void ReferenceBackend::softmax_backward(In y_view, In dy_view, Out dx_view) {
  const int64_t n = y_view.shape[-1];
  for (Index row(leading(y_view.shape, 1)); row; ++row) {
    const Numbers y = at(y_view, row), dy = at(dy_view, row), dx = at(dx_view, row);
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) sum += dy(j) * y(j);
    for (int64_t j = 0; j < n; ++j) dx(j) = y(j) * (dy(j) - sum);
  }
}

void ReferenceBackend::log_softmax(In x_view, Out y_view) {
  const int64_t n = x_view.shape[-1];
  for (Index row(leading(x_view.shape, 1)); row; ++row) {
    const Numbers x = at(x_view, row), y = at(y_view, row);
    const double log_sum = log_sum_exp(x, n);
    for (int64_t j = 0; j < n; ++j) y(j) = x(j) - log_sum;
  }
}

// y = x - log(sum(exp(x))) gives dx = dy - exp(y) sum(dy).
void ReferenceBackend::log_softmax_backward(In y_view, In dy_view, Out dx_view) {
  const int64_t n = y_view.shape[-1];
  for (Index row(leading(y_view.shape, 1)); row; ++row) {
    const Numbers y = at(y_view, row), dy = at(dy_view, row), dx = at(dx_view, row);
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) sum += dy(j);
    for (int64_t j = 0; j < n; ++j) dx(j) = dy(j) - std::exp(y(j)) * sum;
  }
}

// loss = mean over counted rows of  log_sum - x[target] + s (x[target] - mean(x)),  s the smoothing.
void ReferenceBackend::cross_entropy(In logits, In targets, CrossEntropy options, Out loss_view,
                                     Out log_sum) {
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const Numbers x(logits), target(targets), saved(log_sum), loss(loss_view);
  double total = 0, counted = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const double row_log_sum = log_sum_exp(Numbers(logits.select(0, i)), classes);
    saved(i) = row_log_sum;
    if (target(i) == options.ignore) continue;
    const double at_target = x(i, static_cast<int64_t>(target(i)));
    double below = 0;  // x[target] - mean(x)
    for (int64_t j = 0; j < classes; ++j)
      below += options.smoothing > 0 ? (at_target - x(i, j)) / static_cast<double>(classes) : 0;
    total += row_log_sum - at_target + options.smoothing * below;
    counted += 1;
  }
  if (options.count) counted = *options.count.as<double>();
  loss() = counted > 0 ? total / counted : 0;
}

// d loss / d x[j] = (softmax(x)[j] - (1 - s) [j = target] - s / classes) / counted rows.
void ReferenceBackend::cross_entropy_backward(In logits, In targets, CrossEntropy options, In log_sum,
                                              In dloss_view, Out dlogits) {
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const Numbers x(logits), target(targets), saved(log_sum), dx(dlogits), dloss(dloss_view);
  double counted = 0;
  for (int64_t i = 0; i < rows; ++i) counted += target(i) != options.ignore;
  if (options.count) counted = *options.count.as<double>();
  const double s = options.smoothing, dy = dloss() / std::max(counted, 1.0);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < classes; ++j) {
      const double wanted = (j == target(i) ? 1 - s : 0) + s / classes;
      dx(i, j) = target(i) == options.ignore ? 0 : dy * (std::exp(x(i, j) - saved(i)) - wanted);
    }
}

}  // namespace chapbook
