// One loop for every op of one operand, one for every op of two: the formulas are in tensor/elementwise.h.
#include "tensor/elementwise.h"

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void ReferenceBackend::unary(Unary op, In x_view, Out y_view) {
  const Numbers x(x_view), y(y_view);
  visit(op, [&](auto formula) {
    for (Index i(y_view.shape); i; ++i) y(i) = formula(double{x(i)});
  });
}

void ReferenceBackend::binary(Binary op, In a_view, In b_view, Out y_view) {
  const Numbers a(a_view), b(b_view), y(y_view);
  visit(op, [&](auto formula) {
    for (Index i(y_view.shape); i; ++i) y(i) = formula(double{a(i)}, double{b(i)});
  });
}

void ReferenceBackend::where(In condition, In a_view, In b_view, Out y_view) {
  const Numbers chosen(condition), a(a_view), b(b_view), y(y_view);
  for (Index i(y_view.shape); i; ++i) y(i) = chosen(i) != 0 ? a(i) : b(i);
}

}  // namespace chapbook
