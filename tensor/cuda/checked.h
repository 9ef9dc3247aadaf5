// What the host and the kernels tell each other beside the numbers of tensors.
#pragma once
#include <cstdint>

namespace chapbook {

// An id outside its table. A kernel cannot throw: it leaves this behind, and the host throws when it next
// waits for its results. Until then kernels may meet the id: they must not read or write outside the table.
struct BadId {
  const char* op = nullptr;  // what asked for the check; a literal of the host's. nullptr: all ids were good
  int64_t id = 0, limit = 0;
};

// One of these lies in the memory of each CudaBackend.
struct DeviceState {
  uint64_t counter_shift = 0;  // added to the counter of every draw of random numbers, so that a recorded
                               // step that is played again draws others
  BadId bad_id;                // the first that was met
};

}  // namespace chapbook
