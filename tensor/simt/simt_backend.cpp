#include "tensor/simt/simt_backend.h"

#include <cstring>

#include "tensor/cuda/epilogue.h"
#include "tensor/reference/reference_backend.h"
#include "tensor/simt/machine.h"
#include "tensor/simt/memory.h"

namespace chapbook {

void* SimtBackend::allocate(size_t bytes) { return simt::allocate_global(bytes); }
void SimtBackend::release(void* block) noexcept { simt::release_global(block); }
void SimtBackend::hand_out(void* block, size_t bytes) noexcept {
  simt::submit([=] { simt::hand_out(block, bytes); });
}
void SimtBackend::upload(const void* host, void* here, size_t bytes) {
  check(!replay_, "simt: an upload cannot be recorded");
  std::memcpy(here, host, bytes);
  simt::global_memory().set_written(here, bytes);
}
void SimtBackend::download(const void* here, void* host, size_t bytes) {
  check(!replay_, "simt: a download cannot be recorded");
  std::memcpy(host, here, bytes);
  synchronize();
}
void SimtBackend::synchronize() {
  check(!replay_, "simt: nothing can be waited for while it is recorded");
  report(state()->bad_id);
}

class SimtBackend::Replay final : public Recording {
 public:
  explicit Replay(SimtBackend& backend) : backend_(backend), reserve_(backend.blocks().begin_reserve()) {}
  ~Replay() override { backend_.blocks().drop_reserve(reserve_); }

  void replay(uint64_t counter_shift) override {
    backend_.upload(&counter_shift, &backend_.state()->counter_shift, sizeof counter_shift);
    for (const simt::Work& each : work) each();
    const uint64_t none = 0;
    backend_.upload(&none, &backend_.state()->counter_shift, sizeof none);
  }

  std::vector<simt::Work> work;

 private:
  SimtBackend& backend_;
  int reserve_;
};

SimtBackend::SimtBackend() = default;
SimtBackend::~SimtBackend() = default;

bool SimtBackend::start_recording() {
  check(!replay_, "simt: a recording is being made already");
  if (!fallbacks().empty()) return false;  // what goes through the host cannot be recorded
  state();                                 // is made with an upload
  replay_ = std::make_unique<Replay>(*this);
  simt::record_into(&replay_->work);
  return true;
}

std::unique_ptr<Recording> SimtBackend::stop_recording() {
  check(replay_ != nullptr, "simt: no recording is being made");
  simt::record_into(nullptr);
  blocks().end_reserve();
  return std::move(replay_);
}

static void set_written(const View& y) {
  const auto bytes = static_cast<size_t>(size_of(y.dtype));
  if (!y) return;
  if (y.contiguous())
    simt::global_memory().set_written(y.data, static_cast<size_t>(y.count()) * bytes);
  else
    for (Index i(y.shape); i; ++i)
      simt::global_memory().set_written(y.as<char>() + static_cast<size_t>(i.offset(y.strides)) * bytes,
                                        bytes);
}

// The product and the sums of b's rows are the reference's; what is left to do is done by the kernel that
// does it on a GPU where cuBLASLt does not.
void SimtBackend::matmul(In a, In b, Out y, const Epilogue& epilogue) {
  const auto multiply = [&](View to, const Epilogue& part) {
    simt::submit([=] {
      reference_backend().matmul(a, b, to, part);
      set_written(to), set_written(part.b_sums);
    });
  };
  Epilogue rest = epilogue;
  rest.b_sums = {};
  if (rest.nothing()) return multiply(y, epilogue);
  const DType wide = y.dtype == DType::f64 ? DType::f64 : DType::f32;
  const Scratch<std::byte> memory(blocks(), y.count() * size_of(wide));
  const View sum{memory.data(), wide, y.shape, contiguous_strides(y.shape)};
  multiply(sum, {.b_sums = epilogue.b_sums});
  finish_product(sum, y, rest);
}

}  // namespace chapbook

extern "C" chapbook::Backend* chapbook_simt_backend() {
  static auto& simt = *new chapbook::SimtBackend;
  return &simt;
}
