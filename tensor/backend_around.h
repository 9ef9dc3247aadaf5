// BackendAround: a backend that hands every call on to another one. Whoever derives from it changes some.
#pragma once
#include <string>

#include "tensor/backend.h"
#include "tensor/kernel_call.h"

namespace chapbook {

class BackendAround : public Backend {
 public:
  // Its name is `how` and that of the other: "profiled cpu".
  BackendAround(Backend& wrapped, const std::string& how)
      : wrapped_(wrapped), name_(how + " " + std::string(wrapped.name())) {}
  ~BackendAround() override { blocks().trim(); }  // no tensor may outlive it
  std::string_view name() const override { return name_; }

  // Tensors count in this backend's own cache.
  void* allocate(size_t bytes) override { return wrapped_.allocate(bytes); }
  void release(void* block) noexcept override { wrapped_.release(block); }
  void hand_out(void* block, size_t bytes) noexcept override { wrapped_.hand_out(block, bytes); }
  void upload(const void* host, void* here, size_t bytes) override { wrapped_.upload(host, here, bytes); }
  void download(const void* here, void* host, size_t bytes) override { wrapped_.download(here, host, bytes); }
  void synchronize() override { wrapped_.synchronize(); }
  bool trains_in(DType dtype) const override { return wrapped_.trains_in(dtype); }
  bool faster_in(DType dtype) const override { return wrapped_.faster_in(dtype); }
  int64_t numbers_at_once() const override { return wrapped_.numbers_at_once(); }
  bool in_host_memory() const override { return wrapped_.in_host_memory(); }

 protected:
  // It has no kernel of its own, so every call comes here.
  void without_kernel(KernelCall& call) override { call.on(wrapped_); }

  Backend& wrapped_;

 private:
  std::string name_;
};

}  // namespace chapbook
