#include "tensor/backend_module.h"

#include <cstdlib>

#include "tensor/os/system.h"

namespace chapbook {

// The library has one function for us, which gives the backend, or the reason why not.
BackendModule open_module(const std::filesystem::path& library) {
  std::error_code error;
  if (!std::filesystem::exists(library, error)) return {.absent = "not built (see tensor/cuda/README.md)"};
  const os::Loaded module = os::load(library, "chapbook_open_backend");
  if (!module.function) return {.absent = module.reason};
  using Open = Backend*(char* reason, size_t size);
  const auto open = reinterpret_cast<Open*>(module.function);
  char reason[256] = "";
  Backend* backend = open(reason, sizeof reason);
  return {backend, reason, module.library};
}

const BackendModule& cuda_module() {
  const auto library = [] {
    const char* named = std::getenv("CHAPBOOK_CUDA_MODULE");
    return named ? std::filesystem::path(named) : os::program().replace_filename("libchapbook_cuda.so");
  };
  static const BackendModule& module = *new BackendModule(open_module(library()));
  return module;
}

}  // namespace chapbook
