// A CUDA runtime without a device, so that the host's half of the cuda backend runs on every machine: the
// same sources are linked with these functions instead of NVIDIA's, and kernels run on the simt machine. It
// does what NVIDIA documents, in the most inconvenient way that is allowed:
//   - Work on the stream waits until the host has to wait for it, and no more is done then than must be. So a
//     host that reads a result too early, or changes memory that is still to be read, is caught.
//   - Its products (cublaslt.cpp) hold to the alignments they were promised, and refuse some combinations.
// CHAPBOOK_STAND_IN_MEMORY is the device's memory in MiB, CHAPBOOK_STAND_IN=no-driver, old-driver or
// no-device is a machine that lacks one.
#pragma once
#include "tensor/simt/machine.h"

namespace chapbook::stand_in {

using simt::Work;

// Adds to the stream, or to the graph that captures it.
void submit(Work work);

// Throws: what was asked is forbidden. What may be refused is refused by its status instead.
[[noreturn]] void forbidden(const char* what);

// Whether numbers of the device lie there.
bool on_device(const void* data, size_t bytes);

}  // namespace chapbook::stand_in
