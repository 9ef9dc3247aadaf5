// Watching a kernel: every access of its threads to memory comes here first (the compiler calls us, see
// tensor/simt/README.md) and is compared with what the cells of that memory say about earlier ones.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "tensor/simt/memory.h"

namespace chapbook::simt {

// When things happened. The tick counts barriers and the like, of all kinds; two accesses of one block have a
// barrier between them if the first happened before `barrier`.
struct Order {
  uint64_t tick = 1;
  uint64_t launch = 0, block = 0, barrier = 0;  // ticks at which they began, or opened
  std::array<uint64_t, 1024> met{};             // each thread's last __syncwarp

  void begin_launch() { launch = ++tick; }
  void begin_block() { block = barrier = ++tick; }
  void open_barrier() { barrier = ++tick; }
};
extern Order order;

enum class Access : uint8_t { read, write, atomic };

// Ends the block with a fault if the running thread may not do this, which is not to its own stack. `from` is
// the code that does it.
void watch(Access access, const void* address, size_t bytes, size_t alignment, const void* from);

// Whether what this host thread does is a kernel's own doing.
extern thread_local bool watching;

// CHAPBOOK_SIMT_CHECK=0 in the environment: accesses are not checked.
extern bool checking;

// While there is one, the machine works for the kernel: that is not watched.
struct Unwatched {
  const bool before = std::exchange(watching, false);
  ~Unwatched() { watching = before; }
};

// The shared memory of the running block.
Memory& shared_memory();

std::string where(const void* code);  // "tensor/cuda/softmax.cu:40"

// What lies at an address, or nearest before it.
struct Thing {
  std::string name, extent;  // "number 3 of sums", "sums has 32"
};
Thing describe(const void* address);

}  // namespace chapbook::simt
