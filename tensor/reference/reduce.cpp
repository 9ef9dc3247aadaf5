// Reductions: y has x's axes, with size 1 where numbers are combined. Given stride 0 there, each x meets the
// y it belongs to.
#include <cmath>
#include <limits>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void ReferenceBackend::reduce(Reduce op, In x_view, Out y_view) {
  // Sums are kept in double until the end: the outer loop is over results, the inner over what each combines.
  const Numbers y(y_view);
  Shape inner = x_view.shape;
  for (int axis = 0; axis < inner.rank; ++axis)
    if (y_view.shape[axis] != 1) inner[axis] = 1;
  for (Index i(y_view.shape); i; ++i) {
    View from = x_view;
    from.data = from.as<char>() + i.offset(x_view.strides) * size_of(from.dtype);
    const Numbers x(from);
    const double infinity = std::numeric_limits<double>::infinity();
    double result = op == Reduce::sum ? 0 : op == Reduce::max ? -infinity : infinity;
    for (Index j(inner); j; ++j) {
      const double value = x(j);
      if (op == Reduce::sum) result += value;
      if (op == Reduce::max && (value > result || std::isnan(value))) result = value;
      if (op == Reduce::min && (value < result || std::isnan(value))) result = value;
    }
    y(i) = result;
  }
}

void ReferenceBackend::argmax(In x_view, Out y_view) {
  const Numbers y(y_view);
  for (Index i(y_view.shape); i; ++i) {
    const Numbers x = at(x_view, i);
    int64_t best = 0;
    for (int64_t j = 1; j < x_view.shape[-1]; ++j)
      if (x(j) > x(best)) best = j;
    y(i) = static_cast<double>(best);
  }
}

void ReferenceBackend::square_sum(std::span<const In> xs, Out y_view) {
  double sum = 0;
  for (const View& x_view : xs) {
    const Numbers x(x_view);
    for (Index i(x_view.shape); i; ++i) sum += x(i) * x(i);
  }
  const Numbers y(y_view);
  y() = sum;
}

}  // namespace chapbook
