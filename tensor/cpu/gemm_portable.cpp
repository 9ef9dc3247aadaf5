// The product's innermost loop for any processor: vectors of 4 floats, which SSE2 and NEON have.
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::cpu {
constinit const MicroKernel<float> portable_kernel = Tables<Floats<4>, 2, 6>::kernel;
}
