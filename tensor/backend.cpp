#include "tensor/backend.h"

#include <algorithm>
#include <cstdlib>

#include "tensor/backend_module.h"
#include "tensor/cpu/cpu_backend.h"
#include "tensor/reference/reference_backend.h"
#ifdef CHAPBOOK_SIMT
#include "tensor/simt/simt_backend.h"
#endif

namespace chapbook {

std::vector<std::string_view> backend_names() {
  std::vector<std::string_view> names{"cpu", "reference"};
  if (cuda_module().backend) names.insert(names.begin(), "cuda");
#ifdef CHAPBOOK_SIMT
  names.push_back("simt");
#endif
  return names;
}

// Backends live until the program ends: tensors may outlive everything else.
Backend& backend(std::string_view name) {
  static auto& reference = *new ReferenceBackend;
  static auto& cpu = *new CpuBackend;
  if (name == "reference") return reference;
  if (name == "cpu") return cpu;
  if (name == "cuda" && cuda_module().backend) return *cuda_module().backend;
#ifdef CHAPBOOK_SIMT
  static auto& simt = *new SimtBackend;
  if (name == "simt") return simt;
#endif
  std::string known;
  for (std::string_view each : backend_names()) known += (known.empty() ? "" : ", ") + std::string(each);
  fail("no backend '{}' here{}; there are: {}", name,
       name == "cuda" ? fmt::format(" ({})", cuda_module().absent) : "", known);
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
