// ProfileBackend: hands every call on to another backend and writes down what it was, how long it took, how
// much it computed and how many bytes it moved, as the list of kernels says. A program that does not profile
// has no such backend, and so nothing in it costs anything: no flag is asked, no hook is called.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tensor/backend_around.h"
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

class ProfileBackend final : public BackendAround {
 public:
  explicit ProfileBackend(Backend& wrapped) : BackendAround(wrapped, "profiled") {}

  // The calls since the last take_calls(), and the seconds that writing them down took, which are not the
  // program's own.
  struct Calls {
    std::vector<Call> calls;
    double recording = 0;
  };
  Calls take_calls();
  double now() const;  // seconds since the backend was made, the clock of the calls

  void upload(const void* host, void* here, size_t bytes) override;
  void download(const void* here, void* host, size_t bytes) override;

 protected:
  void without_kernel(KernelCall& call) override;

 private:
  void record(std::string op, std::string shapes, const Cost& cost, const std::function<void()>& call);

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Calls taken_;
};

}  // namespace chapbook
