#include "tensor/simt/simt_backend.h"

#include "tensor/simt/machine.h"

namespace chapbook {

void* SimtBackend::allocate(size_t bytes) { return reference_.allocate(bytes); }
void SimtBackend::release(void* block) noexcept { reference_.release(block); }
void SimtBackend::upload(const void* host, void* here, size_t bytes) { reference_.upload(host, here, bytes); }
void SimtBackend::download(const void* here, void* host, size_t bytes) {
  reference_.download(here, host, bytes);
}

void SimtBackend::matmul(View a, View b, View y, const Epilogue& epilogue) {
  simt::submit([=, this] { reference_.matmul(a, b, y, epilogue); });
}

}  // namespace chapbook
