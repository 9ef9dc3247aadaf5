// A backend that lies in a module beside the program, and is opened when it is asked for: so a program built
// with CUDA also starts where there is none.
#pragma once
#include <string>

#include "tensor/backend.h"

namespace chapbook {

struct Module {
  Backend* backend = nullptr;
  std::string absent;  // why there is no backend
};

// Opens libchapbook_cuda.so the first time.
const Module& cuda_module();

}  // namespace chapbook
