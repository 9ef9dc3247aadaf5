// Memory of the host, aligned to a cache line.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

// Blocks of several MiB ask for pages of 2 MiB: the processor keeps the addresses of few pages at hand, and
// every first touch of one costs a call into the system.
void* ReferenceBackend::allocate(size_t bytes) {
  constexpr size_t line = 64, page = 2 << 20;
  const size_t alignment = bytes < page ? line : page;
  void* block = nullptr;  // not by aligned_alloc, whose sizes are multiples of the alignment
  if (posix_memalign(&block, alignment, bytes) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (alignment == page) madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}
void ReferenceBackend::release(void* block) noexcept { std::free(block); }
void ReferenceBackend::upload(const void* host, void* here, size_t bytes) { std::memcpy(here, host, bytes); }
void ReferenceBackend::download(const void* here, void* host, size_t bytes) {
  std::memcpy(host, here, bytes);
}

void ReferenceBackend::fill(View y_view, double value) {
  const Numbers y(y_view);
  for (Index i(y_view.shape); i; ++i) y(i) = value;
}

void ReferenceBackend::copy(View x_view, View y_view) {
  const Numbers x(x_view), y(y_view);
  for (Index i(y_view.shape); i; ++i) y(i) = x(i);
}

}  // namespace chapbook
