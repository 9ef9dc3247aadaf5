#include "tensor/simt/simt_backend.h"

#include <cstring>

#include "tensor/simt/machine.h"
#include "tensor/simt/memory.h"

namespace chapbook {

void* SimtBackend::allocate(size_t bytes) { return simt::allocate_global(bytes); }
void SimtBackend::release(void* block) noexcept { simt::release_global(block); }
void SimtBackend::hand_out(void* block, size_t bytes) noexcept { simt::hand_out(block, bytes); }
void SimtBackend::upload(const void* host, void* here, size_t bytes) {
  std::memcpy(here, host, bytes);
  simt::global_memory().set_written(here, bytes);
}
void SimtBackend::download(const void* here, void* host, size_t bytes) {
  std::memcpy(host, here, bytes);
  synchronize();
}
void SimtBackend::synchronize() { report(state()->bad_id); }

static void set_written(const View& y) {
  const auto bytes = static_cast<size_t>(size_of(y.dtype));
  if (!y) return;
  if (y.contiguous())
    simt::global_memory().set_written(y.data, static_cast<size_t>(y.count()) * bytes);
  else
    for (Index i(y.shape); i; ++i)
      simt::global_memory().set_written(y.as<char>() + static_cast<size_t>(i.offset(y.strides)) * bytes,
                                        bytes);
}

void SimtBackend::matmul(View a, View b, View y, const Epilogue& epilogue) {
  simt::submit([=, this] {
    reference_.matmul(a, b, y, epilogue);
    for (const View& written : {y, epilogue.before, epilogue.b_sums}) set_written(written);
  });
}

}  // namespace chapbook
