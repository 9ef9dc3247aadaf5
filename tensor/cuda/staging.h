// Staging: the way of numbers to the device. Uploads are copied into pinned memory and go on from there while
// the host does something else, so a step's batch travels while the step before it is still computed.
#pragma once
#include <array>
#include <cstddef>

#include "tensor/cuda/device.h"

namespace chapbook {

class Staging {
 public:
  Staging();
  ~Staging();
  Staging(const Staging&) = delete;

  // `host` may change as soon as this returns; `device` holds the numbers in the order of the stream.
  void upload(const void* host, void* device, size_t bytes);

 private:
  static constexpr size_t slot_bytes = 1 << 20;
  struct Slot {
    void* memory = nullptr;
    cudaEvent_t sent = nullptr;  // when the memory may be written again
  };
  std::array<Slot, 8> slots_;
  size_t next_ = 0;
};

}  // namespace chapbook
