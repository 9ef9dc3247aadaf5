// SimtBackend: the CUDA kernels, run on the host by the simt machine (machine.h). Slow, but it runs
// everywhere, and it reports races, stray accesses and divergent barriers by name. What cuBLAS does on a GPU,
// the reference does here.
#pragma once
#include "tensor/cuda/cuda_backend.h"

namespace chapbook {

class SimtBackend : public CudaBackend {
 public:
  SimtBackend();
  ~SimtBackend() override;
  std::string_view name() const override { return "simt"; }

  void* allocate(size_t bytes) override;
  void release(void* block) noexcept override;
  void hand_out(void* block, size_t bytes) noexcept override;
  void upload(const void* host, void* here, size_t bytes) override;
  void download(const void* here, void* host, size_t bytes) override;
  void synchronize() override;

  Kernel<&Backend::matmul> matmul;

  bool start_recording() override;
  std::unique_ptr<Recording> stop_recording() override;

 private:
  class Replay;
  std::unique_ptr<Replay> replay_;  // the recording that is being made
};

}  // namespace chapbook
