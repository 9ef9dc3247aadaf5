// DeviceBackend: the CUDA kernels on a real GPU. Memory, copies, products and recordings; everything else is
// CudaBackend's. What a call starts is done later, in order, on one stream; the host waits only in download
// and synchronize.
#pragma once
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/products.h"
#include "tensor/cuda/staging.h"

namespace chapbook {

class DeviceBackend final : public CudaBackend {
 public:
  DeviceBackend();  // throws the reason when there is no device to compute with
  std::string_view name() const override { return "cuda"; }
  std::string description() const override;
  bool trains_in(DType dtype) const override;
  int64_t numbers_at_once() const override { return 1 << 28; }  // no cache holds what keeps a GPU busy

  void* allocate(size_t bytes) override;
  void release(void* block) noexcept override;
  void upload(const void* host, void* here, size_t bytes) override;
  void download(const void* here, void* host, size_t bytes) override;
  void synchronize() override;

  Kernel<&Backend::matmul> matmul;

  bool start_recording() override;
  std::unique_ptr<Recording> stop_recording() override;

 private:
  class Graph;
  // The product with its whole epilogue in one call of cuBLASLt, if that has one.
  bool try_product(const View& a, const View& b, const View& y, const Epilogue& epilogue);
  void wait();

  const cudaDeviceProp device_;
  Staging staging_;
  Products products_;
  BadId* bad_id_ = nullptr;  // what the kernels found, in pinned memory
  int reserve_ = 0;          // blocks of the recording that is being made; 0: none is
};

}  // namespace chapbook
