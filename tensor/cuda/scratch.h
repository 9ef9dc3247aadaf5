// Memory for what kernels of one call tell each other.
#pragma once
#include "tensor/backend.h"

namespace chapbook {

// `count` numbers of the backend's memory. They go back to its cache at once when the call ends: whoever
// takes them next comes later on the same stream.
template <class T>
class Scratch {
 public:
  Scratch(Backend& backend, int64_t count)
      : backend_(backend),
        bytes_(static_cast<size_t>(count) * sizeof(T)),
        data_(backend.blocks().take(bytes_)) {}
  ~Scratch() { backend_.blocks().give_back(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  T* data() const { return static_cast<T*>(data_); }

 private:
  Backend& backend_;
  size_t bytes_;
  void* data_;
};

}  // namespace chapbook
