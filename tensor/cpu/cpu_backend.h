// CpuBackend: the reference's ops on all cores, with loops the compiler vectorises and products of our own
// (or by OpenBLAS). f32 is what it makes fast; half types are widened to it (half.h), and what it does not
// cover (rare strides) goes to the reference's loops.
//
// Results do not depend on the number of threads: see thread_pool.h.
#pragma once
#include "tensor/reference/reference_backend.h"

namespace chapbook {

class CpuBackend final : public ReferenceBackend {
 public:
  std::string_view name() const override { return "cpu"; }

  void fill(View y, double value) override;
  void copy(View x, View y) override;

  void unary(Unary op, View x, View y) override;
  void binary(Binary op, View a, View b, View y) override;
  void where(View condition, View a, View b, View y) override;
  void random(Distribution distribution, uint64_t seed, uint64_t counter, View y) override;

  void reduce(Reduce op, View x, View y) override;
  void argmax(View x, View y) override;
  void square_sum(std::span<const View> xs, View y) override;

  void matmul(View a, View b, View y, const Epilogue& epilogue) override;

  void softmax(View x, View y) override;
  void softmax_backward(View y, View dy, View dx) override;
  void log_softmax(View x, View y) override;
  void log_softmax_backward(View y, View dy, View dx) override;
  void layer_norm(View x, View weight, View bias, double epsilon, View y, View mean, View rstd) override;
  void layer_norm_backward(View x, View weight, View mean, View rstd, View dy, View dx, View dweight,
                           View dbias) override;

  void gather_rows(View table, View ids, View rows) override;
  void scatter_add_rows(View rows, View ids, View table) override;

  void cross_entropy(View logits, View targets, CrossEntropy options, View loss, View log_sum) override;
  void cross_entropy_backward(View logits, View targets, CrossEntropy options, View log_sum, View dloss,
                              View dlogits) override;

  void attention(View q, View k, View v, double scale, View y, View log_sum) override;
  void attention_backward(View q, View k, View v, double scale, View y, View log_sum, View dy, View dq,
                          View dk, View dv) override;

  void adamw(const AdamWStep& step, std::span<const AdamWPart> parts) override;
};

}  // namespace chapbook
