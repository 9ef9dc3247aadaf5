// A backend that lies in a module beside the program, and is opened when it is asked for: so a program built
// with CUDA also starts where there is none.
#pragma once
#include <filesystem>
#include <string>

#include "tensor/backend.h"

namespace chapbook {

struct BackendModule {
  Backend* backend = nullptr;
  std::string absent;       // why there is no backend
  void* library = nullptr;  // as dlopen gave it, for what else is in there
};

BackendModule open_module(const std::filesystem::path& library);
// libchapbook_cuda.so beside the program, or what the environment variable CHAPBOOK_CUDA_MODULE names; opened
// the first time.
const BackendModule& cuda_module();

}  // namespace chapbook
