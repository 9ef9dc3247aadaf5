// CpuBackend: the reference's kernels on all cores, with loops the compiler vectorises and products of our
// own (or by OpenBLAS). f32 is what it makes fast; half types are widened to it (half.h), but for products
// and attention in bf16 where the processor multiplies pairs or tiles of it (gemm.h). What it does not cover
// (rare strides) goes to the reference's loops.
//
// Results do not depend on the number of threads: see thread_pool.h.
#pragma once
#include "tensor/host_backend.h"

namespace chapbook {

class CpuBackend final : public HostBackend {
 public:
  std::string_view name() const override { return "cpu"; }
  bool faster_in(DType dtype) const override;

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
  Kernel<&Backend::matmul> matmul;
  Kernel<&Backend::packed_matmul> packed_matmul;
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
};

}  // namespace chapbook
