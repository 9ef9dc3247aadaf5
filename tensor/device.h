// A function marked CHAPBOOK_DEVICE can be called on the host and inside a kernel.
#pragma once

#ifdef __CUDACC__
#define CHAPBOOK_DEVICE __host__ __device__
#else
#define CHAPBOOK_DEVICE
#endif
