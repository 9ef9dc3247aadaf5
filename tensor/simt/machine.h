// The simt machine: runs a CUDA kernel on the host, one fiber for each thread of a block, one block after the
// other, and watches what it does. A thread runs until it must wait for others: at a barrier, or where a warp
// exchanges values.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace chapbook::simt {

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

// Where the running thread is in its grid.
struct Place {
  dim3 thread, block;    // its indices
  dim3 threads, blocks;  // how many there are
};
const Place& current();

// Runs the kernel for every thread of the grid.
void launch(std::string_view kernel, dim3 blocks, dim3 threads, size_t shared_bytes,
            const std::function<void()>& thread);

// The array of that name which the threads of the running block share: made when the first of them asks.
void* shared(const char* name, const char* file, int line, size_t bytes);
template <class T>
T& shared(const char* name, const char* file, int line) {
  return *static_cast<T*>(shared(name, file, line, sizeof(T)));
}
template <class T>
using Array = T;

}  // namespace chapbook::simt
