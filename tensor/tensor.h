// Tensor: numbers in a shape, a Storage and a View of it. Copying a Tensor copies the handle, not the
// numbers. It knows nothing of gradients (see autograd/variable.h).
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "tensor/backend.h"
#include "tensor/recycle.h"

namespace chapbook {

// Memory of one backend, given back with its last owner.
class Storage {
 public:
  Storage(Backend& backend, size_t bytes)
      : backend_(backend), bytes_(bytes), data_(backend.blocks().take(bytes)) {}
  ~Storage() { backend_.blocks().give_back(data_, bytes_); }
  Storage(const Storage&) = delete;

  Backend& backend() const { return backend_; }
  void* data() const { return data_; }

 private:
  Backend& backend_;
  size_t bytes_;
  void* data_;
};

class Tensor {
 public:
  Tensor() = default;  // no numbers: `if (tensor)` is false

  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Backend& backend = default_backend());
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                     Backend& backend = default_backend());
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Backend& backend = default_backend());
  static Tensor arange(int64_t count, DType dtype = DType::i32,
                       Backend& backend = default_backend());  // 0, 1, ...
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape, Backend& backend = default_backend());
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape, Backend& backend = default_backend()) {
    return from(std::span<const T>(values), shape, backend);
  }
  static Tensor like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.backend()); }

  explicit operator bool() const { return storage_ != nullptr; }
  const Shape& shape() const { return view_.shape; }
  int rank() const { return view_.shape.rank; }
  int64_t size(int axis) const { return view_.shape[view_.shape.axis(axis, "size")]; }
  int64_t count() const { return view_.count(); }
  DType dtype() const { return view_.dtype; }
  Backend& backend() const {
    check(storage_ != nullptr, "tensor: an empty Tensor is on no backend; it was never given numbers");
    return storage_->backend();
  }
  const View& view() const { return view_; }
  bool contiguous() const { return view_.contiguous(); }
  bool shared() const { return storage_.use_count() > 1; }  // does another Tensor see the same memory?

  // Views of the same numbers; none moves. Negative axes count from the end.
  Tensor transpose(int axis, int other) const { return {storage_, view_.transpose(axis, other)}; }
  Tensor slice(int axis, int64_t from, int64_t to) const { return {storage_, view_.slice(axis, from, to)}; }
  Tensor select(int axis, int64_t index) const { return {storage_, view_.select(axis, index)}; }
  Tensor broadcast_to(const Shape& shape) const { return {storage_, view_.broadcast_to(shape)}; }
  // One size may be -1: whatever is left. Copies only when no view can have that shape.
  Tensor reshape(const Shape& shape) const;

  // Copies (to: only when something changes).
  Tensor to(Backend& backend) const;
  Tensor to(DType dtype) const;
  Tensor contiguous_copy() const;  // a new Tensor, always
  Tensor as_contiguous() const { return contiguous() ? *this : contiguous_copy(); }

  template <class T>
  std::vector<T> to_vector() const;  // in index order; converts
  double item() const;               // the only number of a one-number tensor
  void upload(const void* host);     // replaces the numbers of a contiguous tensor by `count` of its dtype
  void download(void* host) const;   // writes `count` numbers of its dtype there, in index order
  std::string to_string() const;     // see tensor/print.h

 private:
  Tensor(std::shared_ptr<Storage> storage, const View& view) : storage_(std::move(storage)), view_(view) {}

  std::shared_ptr<Storage> storage_;
  View view_;
};

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape, Backend& backend) {
  check(static_cast<int64_t>(values.size()) == shape.count(), "tensor: {} values do not fill shape {}",
        values.size(), shape);
  Tensor x = empty(shape, dtype_of<T>(), backend);
  x.upload(values.data());
  return x;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  std::vector<T> values(count());
  to(dtype_of<T>()).download(values.data());
  return values;
}

}  // namespace chapbook
