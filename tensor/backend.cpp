#include "tensor/backend.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>

#include "tensor/backend_module.h"
#include "tensor/cpu/cpu_backend.h"
#include "tensor/reference/reference_backend.h"

// The backend of tensor/simt, in programs that are linked with it: all tests are.
extern "C" [[gnu::weak]] chapbook::Backend* chapbook_simt_backend();

namespace chapbook {

namespace {

// The backend, or why it is not here. Backends live until the program ends: tensors may outlive everything
// else.
struct Opened {
  Backend* backend;
  std::string_view absent = "";
};

Opened open_cuda() { return {cuda_module().backend, cuda_module().absent}; }
Opened open_cpu() {
  static auto& cpu = *new CpuBackend;
  return {&cpu};
}
Opened open_reference() { return {&reference_backend()}; }
Opened open_simt() {
  if (chapbook_simt_backend) return {chapbook_simt_backend()};
  return {nullptr, "its program is chapbook_simt; ./chapbook COMMAND --backend simt builds and runs it"};
}

// Every backend there is, the fastest first.
constexpr struct {
  std::string_view name;
  Opened (*open)();
} backends[] = {{"cuda", open_cuda}, {"cpu", open_cpu}, {"reference", open_reference}, {"simt", open_simt}};

}  // namespace

std::vector<std::string_view> backend_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, open] : backends)
    if (open().backend) names.push_back(name);
  return names;
}

Backend& backend(std::string_view name) {
  std::string_view absent;
  for (const auto& each : backends) {
    if (each.name != name) continue;
    const Opened opened = each.open();
    if (opened.backend) return *opened.backend;
    absent = opened.absent;
  }
  fail("no backend '{}' here{}; there are: {}", name, absent.empty() ? "" : fmt::format(" ({})", absent),
       fmt::join(backend_names(), ", "));
}

// Nothing until somebody asks: finding the fastest backend opens every one, and with it a GPU.
static std::atomic<Backend*> chosen = nullptr;

Backend& default_backend() {
  if (!chosen) {
    const char* name = std::getenv("CHAPBOOK_BACKEND");
    Backend* found = &backend(name && *name ? std::string_view(name) : backend_names().front());
    Backend* none = nullptr;  // opening took a while: what somebody has chosen meanwhile stays
    chosen.compare_exchange_strong(none, found);
  }
  return *chosen;
}
void set_default_backend(Backend& backend) { chosen = &backend; }

}  // namespace chapbook
