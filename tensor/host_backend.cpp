// Memory of the host, aligned to a cache line.
#include "tensor/host_backend.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace chapbook {

// Blocks of several MiB ask for pages of 2 MiB: the processor keeps the addresses of few pages at hand, and
// every first touch of one costs a call into the system.
void* HostBackend::allocate(size_t bytes) {
  constexpr size_t line = 64, page = 2 << 20;
  const size_t alignment = bytes < page ? line : page;
  void* block = nullptr;  // not by aligned_alloc, whose sizes are multiples of the alignment
  if (posix_memalign(&block, alignment, bytes) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (alignment == page) madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}
void HostBackend::release(void* block) noexcept { std::free(block); }
void HostBackend::upload(const void* host, void* here, size_t bytes) { std::memcpy(here, host, bytes); }
void HostBackend::download(const void* here, void* host, size_t bytes) { std::memcpy(host, here, bytes); }

}  // namespace chapbook
