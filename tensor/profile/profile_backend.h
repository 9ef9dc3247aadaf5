// ProfileBackend: hands every call on to another backend and writes down what it was, how long it took, how
// much it computed and how many bytes it moved, as the list of kernels says. A program that does not profile
// has no such backend, and so nothing in it costs anything: no flag is asked, no hook is called.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tensor/backend.h"
#include "tensor/kernel_call.h"
#include "tensor/profile/phase.h"

namespace chapbook {

struct Call {
  std::string op;      // with its variant and what is fused to it: "unary gelu", "matmul+bias+gelu"; where
                       // the backend has no kernel for it, "... (reference)"
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
  bool faster_in(DType dtype) const override { return wrapped_.faster_in(dtype); }
  int64_t numbers_at_once() const override { return wrapped_.numbers_at_once(); }
  bool in_host_memory() const override { return wrapped_.in_host_memory(); }

  void upload(const void* host, void* here, size_t bytes) override;
  void download(const void* here, void* host, size_t bytes) override;

 protected:
  // It has no kernel of its own, so every call comes here.
  void without_kernel(KernelCall& call) override;

 private:
  void record(std::string op, std::string shapes, const Cost& cost, const std::function<void()>& call);

  Backend& wrapped_;
  std::string name_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Calls taken_;
};

}  // namespace chapbook
