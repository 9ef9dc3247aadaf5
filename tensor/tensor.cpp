#include "tensor/tensor.h"

#include "tensor/ops.h"
#include "tensor/print.h"

namespace chapbook {

Tensor Tensor::empty(const Shape& shape, DType dtype, Backend& backend) {
  check(shape.countable(), "tensor: shape {} has a negative size or too many numbers", shape);
  auto storage = make_recycled<Storage>(backend, shape.count() * size_of(dtype));
  const View view{storage->data(), dtype, shape, contiguous_strides(shape)};
  return {std::move(storage), view};
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Backend& backend) {
  Tensor y = empty(shape, dtype, backend);
  backend.fill(y.view(), value);
  return y;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Backend& backend) {
  return full(shape, 0, dtype, backend);
}

Tensor Tensor::arange(int64_t count, DType dtype, Backend& backend) {
  check(count >= 0, "arange: {} numbers", count);
  std::vector<double> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<double>(i);
  return from(values, {count}, backend).to(dtype);
}

Tensor Tensor::reshape(const Shape& shape) const {
  Shape to = shape;
  for (int axis = 0; axis < to.rank; ++axis) {
    if (to[axis] != -1) continue;
    to[axis] = 1;
    check(to.count() > 0 && count() % to.count() == 0, "reshape: {} numbers of {} do not divide into {}",
          count(), this->shape(), shape);
    to[axis] = count() / to.count();
    break;
  }
  if (to == view_.shape) return *this;
  const Tensor& x = view_.can_reshape(to) || to.count() != count() ? *this : contiguous_copy();
  return {x.storage_, x.view_.reshape(to)};
}

Tensor Tensor::to(Backend& target) const {
  if (&target == &backend()) return *this;
  RecycledVector<std::byte> host(count() * size_of(dtype()));
  download(host.data());
  Tensor y = empty(shape(), dtype(), target);
  y.upload(host.data());
  return y;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == this->dtype()) return *this;
  Tensor y = empty(shape(), dtype, backend());
  backend().copy(view_, y.view_);
  return y;
}

Tensor Tensor::contiguous_copy() const {
  Tensor y = like(*this);
  backend().copy(view_, y.view_);
  return y;
}

double Tensor::item() const {
  check(count() == 1, "item: a tensor of shape {} holds {} numbers, not one", shape(), count());
  double number;
  to(DType::f64).download(&number);
  return number;
}

void Tensor::upload(const void* host) {
  check(contiguous(), "upload: the tensor is a view with gaps");
  if (count()) backend().upload(host, view_.data, count() * size_of(dtype()));
}

void Tensor::download(void* host) const {
  const Tensor x = as_contiguous();
  if (count()) backend().download(x.view_.data, host, count() * size_of(dtype()));
}

std::string Tensor::to_string() const { return print(*this); }

}  // namespace chapbook
