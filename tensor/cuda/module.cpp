// What the program finds in the module: tensor/backend_module.h opens it and calls this.
#include <cstdio>

#include "tensor/cuda/device_backend.h"

// The backend, or nullptr and the reason. It lives until the program ends.
extern "C" __attribute__((visibility("default"))) chapbook::Backend* chapbook_open_backend(char* reason,
                                                                                           size_t size) {
  try {
    return new chapbook::DeviceBackend;
  } catch (const std::exception& error) {
    std::snprintf(reason, size, "%s", error.what());
    return nullptr;
  }
}
