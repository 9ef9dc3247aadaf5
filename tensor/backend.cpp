#include "tensor/backend.h"

#include <algorithm>
#include <cstdlib>

#include "tensor/backend_module.h"
#include "tensor/cpu/cpu_backend.h"
#include "tensor/reference/reference_backend.h"

// The backend of tensor/simt, in programs that are linked with it: all tests are.
extern "C" [[gnu::weak]] chapbook::Backend& chapbook_simt_backend();

namespace chapbook {

std::vector<std::string_view> backend_names() {
  std::vector<std::string_view> names{"cpu", "reference"};
  if (cuda_module().backend) names.insert(names.begin(), "cuda");
  if (chapbook_simt_backend) names.push_back("simt");
  return names;
}

// Backends live until the program ends: tensors may outlive everything else.
Backend& backend(std::string_view name) {
  static auto& reference = *new ReferenceBackend;
  static auto& cpu = *new CpuBackend;
  if (name == "reference") return reference;
  if (name == "cpu") return cpu;
  if (name == "cuda" && cuda_module().backend) return *cuda_module().backend;
  if (name == "simt" && chapbook_simt_backend) return chapbook_simt_backend();
  std::string absent;
  if (name == "cuda") absent = fmt::format(" ({})", cuda_module().absent);
  if (name == "simt")
    absent = " (its program is chapbook_simt; ./chapbook COMMAND --backend simt builds and runs it)";
  std::string known;
  for (std::string_view each : backend_names()) known += (known.empty() ? "" : ", ") + std::string(each);
  fail("no backend '{}' here{}; there are: {}", name, absent, known);
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
