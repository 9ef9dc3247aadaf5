// launch: the one place where a kernel is started.
#pragma once
#include <string_view>

#include "tensor/cuda/kernel.h"
#ifdef __CUDACC__
#include "tensor/cuda/device.h"
#else
#include "tensor/simt/machine.h"
#endif

namespace chapbook {

struct Grid {
  dim3 blocks, threads;     // threads: of one block
  size_t shared_bytes = 0;  // of launched_shared()
};

// "softmax_rows<float>", read from what the compiler calls this function.
template <auto kernel>
constexpr std::string_view kernel_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("kernel = ") + 9);
  for (const std::string_view prefix : {"&", "chapbook::"})  // which some compilers write
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return name.substr(0, name.find_first_of(";(]"));
}

// Starts `kernel` on the backend's stream, one thread for each place of the grid, and does not wait for it.
// launch<softmax_rows<float>>({blocks, threads}, x, y, n);
template <auto kernel, class... Arguments>
void launch(const Grid& grid, Arguments... arguments) {
#ifdef __CUDACC__
  if (grid.shared_bytes > 48 << 10)  // more must be asked for
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(grid.shared_bytes)),
        "launch");
  kernel<<<grid.blocks, grid.threads, grid.shared_bytes, stream()>>>(arguments...);
  check_cuda(cudaGetLastError(), kernel_name<kernel>());
#else  // the hand-over of the arguments is not watched
  simt::launch(
      kernel_name<kernel>(), grid.blocks, grid.threads,
      grid.shared_bytes, [=]() __attribute__((no_sanitize("thread"))) { kernel(arguments...); });
#endif
}

// Blocks of `size` threads for `count` of them.
inline unsigned blocks_for(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

}  // namespace chapbook
