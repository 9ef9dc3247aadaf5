#include "tensor/operands.h"

#include "tensor/ops.h"

namespace chapbook {

void check_same_backend(const char* op, const Tensor& a, const Tensor& b) {
  check(&a.backend() == &b.backend(), "{}: one operand is on '{}', the other on '{}'; move one with to()", op,
        a.backend().name(), b.backend().name());
}

void check_same_kind(const char* op, const Tensor& a, const Tensor& b) {
  check_same_backend(op, a, b);
  check(a.dtype() == b.dtype(), "{}: {} and {} do not mix; convert one with to()", op, name_of(a.dtype()),
        name_of(b.dtype()));
}

void check_same_shape(const char* op, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape(), "{}: shapes {} and {} differ", op, a.shape(), b.shape());
}

void check_float(const char* op, const Tensor& x) {
  check(is_float(x.dtype()), "{}: wants floating-point numbers, not {}", op, name_of(x.dtype()));
}

void check_norm(const char* op, const Tensor& x, const Tensor& weight) {
  check_float(op, x);
  check_same_backend(op, x, weight);
  check(weight.dtype() == x.dtype() || weight.dtype() == wide(x.dtype()),
        "{}: a weight of {} does not go with {}; convert it with to()", op, name_of(weight.dtype()),
        name_of(x.dtype()));
  check(x.rank() >= 1 && weight.shape() == Shape{x.size(-1)},
        "{}: weight {} does not fit the last axis of {}", op, weight.shape(), x.shape());
}

}  // namespace chapbook
