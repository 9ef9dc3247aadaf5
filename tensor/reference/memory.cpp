// Memory of the host, aligned to a cache line.
#include <cstdlib>
#include <cstring>
#include <new>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void* ReferenceBackend::allocate(size_t bytes) { return ::operator new (bytes, std::align_val_t{64}); }
void ReferenceBackend::release(void* block) noexcept { ::operator delete (block, std::align_val_t{64}); }
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
