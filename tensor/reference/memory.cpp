#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void ReferenceBackend::fill(Out y_view, double value) {
  const Numbers y(y_view);
  for (Index i(y_view.shape); i; ++i) y(i) = value;
}

void ReferenceBackend::copy(In x_view, Out y_view) {
  const Numbers x(x_view), y(y_view);
  for (Index i(y_view.shape); i; ++i) y(i) = x(i);
}

}  // namespace chapbook
