#include "tensor/cuda/staging.h"

#include <algorithm>
#include <cstring>

namespace chapbook {

Staging::Staging() {
  for (Slot& slot : slots_) {
    check_cuda(cudaMallocHost(&slot.memory, slot_bytes), "pinned memory");
    check_cuda(cudaEventCreateWithFlags(&slot.sent, cudaEventDisableTiming), "an event");
  }
}

Staging::~Staging() {
  for (Slot& slot : slots_) {
    if (slot.sent) cudaEventDestroy(slot.sent);
    if (slot.memory) cudaFreeHost(slot.memory);
  }
}

void Staging::upload(const void* host, void* device, size_t bytes) {
  for (size_t from = 0; from < bytes; from += slot_bytes) {
    const size_t part = std::min(slot_bytes, bytes - from);
    Slot& slot = slots_[next_++ % slots_.size()];
    check_cuda(cudaEventSynchronize(slot.sent), "upload");  // at once, when it was never recorded
    std::memcpy(slot.memory, static_cast<const char*>(host) + from, part);
    check_cuda(cudaMemcpyAsync(static_cast<char*>(device) + from, slot.memory, part, cudaMemcpyHostToDevice,
                               stream()),
               "upload");
    check_cuda(cudaEventRecord(slot.sent, stream()), "upload");
  }
}

}  // namespace chapbook
