// Memory of the host, aligned to a cache line.
#include "tensor/host_backend.h"

#include <cstring>
#include <new>

#include "tensor/os/system.h"

namespace chapbook {

void* HostBackend::allocate(size_t bytes) {
  void* const block = os::allocate(bytes);
  if (!block) throw std::bad_alloc();
  return block;
}
void HostBackend::release(void* block) noexcept { os::release(block); }
void HostBackend::upload(const void* host, void* here, size_t bytes) { std::memcpy(here, host, bytes); }
void HostBackend::download(const void* here, void* host, size_t bytes) { std::memcpy(host, here, bytes); }

}  // namespace chapbook
