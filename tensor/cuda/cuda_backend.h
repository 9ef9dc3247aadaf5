// CudaBackend: the kernels of tensor/kernels.inc in CUDA. Each .cu file holds kernels and the functions below
// that launch them, and is compiled twice: by nvcc for a GPU (DeviceBackend, device_backend.h), and by the
// host's compiler for the simt machine (SimtBackend, tensor/simt/simt_backend.h). Where the numbers live, and
// products, are the business of those two.
//
// No kernel adds to memory atomically in floating point: sums have a fixed order, so the same seed gives the
// same bits.
#pragma once
#include "tensor/backend.h"
#include "tensor/cuda/checked.h"

namespace chapbook {

class CudaBackend : public Backend {
 public:
  Kernel<&Backend::fill> fill;
  Kernel<&Backend::copy> copy;
  Kernel<&Backend::unary> unary;
  Kernel<&Backend::binary> binary;
  Kernel<&Backend::where> where;
  Kernel<&Backend::random> random;
  Kernel<&Backend::triangle> triangle;
  Kernel<&Backend::reduce> reduce;
  Kernel<&Backend::argmax> argmax;
  Kernel<&Backend::square_sum> square_sum;
  Kernel<&Backend::softmax> softmax;
  Kernel<&Backend::softmax_backward> softmax_backward;
  Kernel<&Backend::log_softmax> log_softmax;
  Kernel<&Backend::log_softmax_backward> log_softmax_backward;
  Kernel<&Backend::layer_norm> layer_norm;
  Kernel<&Backend::layer_norm_backward> layer_norm_backward;
  Kernel<&Backend::check_ids> check_ids;
  Kernel<&Backend::gather_rows> gather_rows;
  Kernel<&Backend::scatter_add_rows> scatter_add_rows;
  Kernel<&Backend::cross_entropy> cross_entropy;
  Kernel<&Backend::cross_entropy_backward> cross_entropy_backward;
  Kernel<&Backend::attention> attention;
  Kernel<&Backend::attention_backward> attention_backward;
  Kernel<&Backend::adamw> adamw;

 protected:
  // Lies in the backend's memory; made when first asked for.
  DeviceState* state();
  // Throws if there is a bad id, and forgets it. download and synchronize call this.
  void report(BadId bad_id);

 private:
  DeviceState* state_ = nullptr;
};

}  // namespace chapbook
