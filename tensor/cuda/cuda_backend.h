// CudaBackend: the reference's ops as CUDA kernels. Each .cu file holds kernels and the functions below that
// launch them, and is compiled twice: by nvcc for a GPU (DeviceBackend, device_backend.h), and by the host's
// compiler for the simt machine (SimtBackend, tensor/simt/simt_backend.h). Where the numbers live, and
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
  void fill(View y, double value) override;
  void copy(View x, View y) override;

  void unary(Unary op, View x, View y) override;
  void binary(Binary op, View a, View b, View y) override;
  void where(View condition, View a, View b, View y) override;
  void random(Distribution distribution, uint64_t seed, uint64_t counter, View y) override;
  void triangle(View y, int64_t diagonal) override;

  void reduce(Reduce op, View x, View y) override;
  void argmax(View x, View y) override;
  void square_sum(std::span<const View> xs, View y) override;

  void softmax(View x, View y) override;
  void softmax_backward(View y, View dy, View dx) override;
  void log_softmax(View x, View y) override;
  void log_softmax_backward(View y, View dy, View dx) override;
  void layer_norm(View x, View weight, View bias, double epsilon, View y, View mean, View rstd) override;
  void layer_norm_backward(View x, View weight, View mean, View rstd, View dy, View dx, View dweight,
                           View dbias) override;

  void check_ids(const char* op, View ids, int64_t limit, std::optional<int32_t> also) override;
  void gather_rows(View table, View ids, View rows) override;
  void scatter_add_rows(View rows, View ids, View table) override;

  void cross_entropy(View logits, View targets, CrossEntropy options, View loss, View log_sum) override;
  void cross_entropy_backward(View logits, View targets, CrossEntropy options, View log_sum, View dloss,
                              View dlogits) override;

  void attention(View q, View k, View v, double scale, View y, View log_sum) override;
  void attention_backward(View q, View k, View v, double scale, View y, View log_sum, View dy, View dq,
                          View dk, View dv) override;

  void adamw(const AdamWStep& step, std::span<const AdamWPart> parts) override;

 protected:
  // Lies in the backend's memory; made when first asked for.
  DeviceState* state();
  // Throws if there is a bad id, and forgets it. download and synchronize call this.
  void report(BadId bad_id);

 private:
  DeviceState* state_ = nullptr;
};

}  // namespace chapbook
