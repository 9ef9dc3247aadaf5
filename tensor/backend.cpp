#include "tensor/backend.h"

#include <algorithm>
#include <cstdlib>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/recycle.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void Backend::check_ids(const char* op, View ids, int64_t limit, std::optional<int32_t> also) {
  RecycledVector<int32_t> on_host(ids.count());
  if (!on_host.empty()) download(ids.data, on_host.data(), on_host.size() * sizeof(int32_t));
  for (int32_t id : on_host)
    check((id >= 0 && id < limit) || id == also, "{}: id {} is not in 0..{}", op, id, limit - 1);
}

std::vector<std::string_view> backend_names() { return {"cpu", "reference"}; }

// Backends live until the program ends: tensors may outlive everything else.
Backend& backend(std::string_view name) {
  static auto& reference = *new ReferenceBackend;
  static auto& cpu = *new CpuBackend;
  if (name == "reference") return reference;
  if (name == "cpu") return cpu;
  std::string known;
  for (std::string_view each : backend_names()) known += (known.empty() ? "" : ", ") + std::string(each);
  fail("no backend '{}' here; there are: {}", name, known);
}

static Backend*& current() {
  static Backend* chosen = [] {
    const char* name = std::getenv("CHAPBOOK_BACKEND");
    return &backend(name && *name ? std::string_view(name) : backend_names().front());
  }();
  return chosen;
}

Backend& default_backend() { return *current(); }
void set_default_backend(Backend& backend) { current() = &backend; }

}  // namespace chapbook
