// What happens to a call of a kernel that a backend has no code of its own for: the reference computes it, on
// the host. A device sends what is read there and gets back what was written, without gaps either way; its
// own `copy` kernel does the rest, so that alone, with `fill`, a device must have.
#include <fmt/format.h>

#include <algorithm>
#include <list>

#include "tensor/kernel_call.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

// Backends live until the program ends: tensors may outlive everything else.
ReferenceBackend& reference_backend() {
  static auto& backend = *new ReferenceBackend;
  return backend;
}

void Backend::note_fallback(std::string_view kernel) {
  std::lock_guard lock(fallbacks_mutex_);
  if (std::find(fallbacks_.begin(), fallbacks_.end(), kernel) != fallbacks_.end()) return;
  fallbacks_.push_back(kernel);
  fmt::print(stderr, "{} has no kernel of its own for '{}': the reference computes it, slowly\n", name(),
             kernel);
}

std::vector<std::string_view> Backend::fallbacks() const {
  std::lock_guard lock(fallbacks_mutex_);
  return fallbacks_;
}

namespace {

// Memory of a backend for the numbers of a view, without gaps, for as long as it lives.
class Room {
 public:
  Room(Backend& backend, const View& like)
      : memory_(backend.blocks(), like.count() * size_of(like.dtype)),
        view_{memory_.data(), like.dtype, like.shape, contiguous_strides(like.shape)} {}
  const View& view() const { return view_; }
  size_t bytes() const { return memory_.bytes(); }

 private:
  Scratch<std::byte> memory_;
  View view_;
};

// An operand of a call that lies on the host while this lives.
class OnHost {
 public:
  OnHost(Backend& device, const Operand& operand)
      : device_(device),
        written_(operand.written),
        there_(operand.view->once()),
        here_(reference_backend(), there_) {
    if (operand.read) download();
    *operand.view = here_.view().broadcast_to(operand.view->shape);
  }
  void bring_back() {
    if (!written_) return;
    if (there_.contiguous()) return device_.upload(here_.view().data, there_.data, here_.bytes());
    const Room dense(device_, there_);
    device_.upload(here_.view().data, dense.view().data, here_.bytes());
    device_.copy(dense.view(), there_);
  }

 private:
  void download() {
    if (there_.contiguous()) return device_.download(there_.data, here_.view().data, here_.bytes());
    const Room dense(device_, there_);
    device_.copy(there_, dense.view());
    device_.download(dense.view().data, here_.view().data, here_.bytes());
  }

  Backend& device_;
  bool written_;
  View there_;
  Room here_;
};

}  // namespace

void Backend::without_kernel(KernelCall& call) {
  note_fallback(call.kernel);
  {
    std::list<OnHost> operands;
    for (const Operand& operand : call.operands)
      if (operand.view->count() > 0) operands.emplace_back(*this, operand);
    call.on(reference_backend());
    for (OnHost& operand : operands) operand.bring_back();
  }
  reference_backend().blocks().trim();  // what lay on the host is not kept: it may be as large as the device
}

void HostBackend::without_kernel(KernelCall& call) {
  note_fallback(call.kernel);
  call.on(reference_backend());
}

}  // namespace chapbook
