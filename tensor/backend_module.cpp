#include "tensor/backend_module.h"

#include <dlfcn.h>

#include <cstdlib>

namespace chapbook {

// The library has one function for us, which gives the backend, or the reason why not.
BackendModule open_module(const std::filesystem::path& library) {
  std::error_code error;
  if (!std::filesystem::exists(library, error)) return {.absent = "not built (see tensor/cuda/README.md)"};
  void* module = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module) return {.absent = ::dlerror()};  // names the library that is missing
  using Open = Backend*(char* reason, size_t size);
  const auto open = reinterpret_cast<Open*>(::dlsym(module, "chapbook_open_backend"));
  if (!open) return {.absent = ::dlerror()};
  char reason[256] = "";
  Backend* backend = open(reason, sizeof reason);
  return {backend, reason, module};
}

const BackendModule& cuda_module() {
  const auto library = [] {
    const char* named = std::getenv("CHAPBOOK_CUDA_MODULE");
    return named ? std::filesystem::path(named)
                 : std::filesystem::read_symlink("/proc/self/exe").replace_filename("libchapbook_cuda.so");
  };
  static const BackendModule& module = *new BackendModule(open_module(library()));
  return module;
}

}  // namespace chapbook
