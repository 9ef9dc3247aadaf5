// ProfileBackend: hands every call on to another backend and writes down what it was, how long it took, how
// much it computed and how many bytes it moved. A program that does not profile has no such backend, and so
// nothing in it costs anything: no flag is asked, no hook is called.
//
// FLOPs are counted from shapes, by the formulas of tensor/reference: each addition, multiplication,
// comparison or function (exp, sqrt) of a number is one, whatever the kernel does instead. Bytes are those of
// the views, each operand once: what a kernel must move if its caches held nothing before and everything
// during the call.
#pragma once
#include <chrono>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensor/backend.h"
#include "tensor/profile/phase.h"

namespace chapbook {

struct Cost {
  double flops = 0, read = 0, written = 0;  // bytes
  double bytes() const { return read + written; }
};

struct Call {
  std::string op;      // with its variant and what is fused to it: "unary gelu", "matmul+bias+gelu"
  std::string shapes;  // of the operands that decide its cost: "(2048, 128) (128, 512)"
  Phase phase;
  double start, end;  // seconds on the backend's clock
  Cost cost;
  size_t live;  // bytes of tensors after the call
};

class ProfileBackend final : public Backend {
 public:
  explicit ProfileBackend(Backend& wrapped)
      : wrapped_(wrapped), name_("profiled " + std::string(wrapped.name())) {}
  ~ProfileBackend() override { blocks().trim(); }  // no tensor may outlive it
  std::string_view name() const override { return name_; }

  // The calls since the last take_calls(), and the seconds that writing them down took, which are not the
  // program's own.
  struct Calls {
    std::vector<Call> calls;
    double recording = 0;
  };
  Calls take_calls();
  double now() const;  // seconds since the backend was made, the clock of the calls

  // What is not a call on numbers is not written down. Tensors count in this backend's own cache.
  void* allocate(size_t bytes) override { return wrapped_.allocate(bytes); }
  void release(void* block) noexcept override { wrapped_.release(block); }
  void hand_out(void* block, size_t bytes) noexcept override { wrapped_.hand_out(block, bytes); }
  void synchronize() override { wrapped_.synchronize(); }
  bool trains_in(DType dtype) const override { return wrapped_.trains_in(dtype); }
  int64_t numbers_at_once() const override { return wrapped_.numbers_at_once(); }

  void upload(const void* host, void* here, size_t bytes) override;
  void download(const void* here, void* host, size_t bytes) override;
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
  void matmul(View a, View b, View y, const Epilogue& epilogue) override;
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

 private:
  template <class F>
  void record(std::string op, std::initializer_list<Shape> shapes, const Cost& cost, F&& call);

  Backend& wrapped_;
  std::string name_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Calls taken_;
};

}  // namespace chapbook
