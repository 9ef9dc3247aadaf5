// HostBackend: a backend whose numbers lie in the host's own memory, where any of them may read and write.
#pragma once
#include "tensor/backend.h"

namespace chapbook {

class HostBackend : public Backend {
 public:
  void* allocate(size_t bytes) override;
  void release(void* block) noexcept override;
  void upload(const void* host, void* here, size_t bytes) override;
  void download(const void* here, void* host, size_t bytes) override;
  bool in_host_memory() const override { return true; }

 protected:
  void without_kernel(KernelCall& call) override;  // the reference's loops, on the same views
};

}  // namespace chapbook
