#include "tensor/module.h"

#include <dlfcn.h>

namespace chapbook {

// The library has one function for us, which gives the backend, or the reason why not.
Module open_module(const std::filesystem::path& library) {
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

const Module& cuda_module() {
  static const Module& module = *new Module(
      open_module(std::filesystem::read_symlink("/proc/self/exe").replace_filename("libchapbook_cuda.so")));
  return module;
}

}  // namespace chapbook
