// The product's innermost loop for processors with AVX-512: 28 of 32 registers of 16 floats hold the result.
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::cpu {
constinit const MicroKernel<float> avx512_kernel = Tables<Floats<16>, 2, 14>::kernel;
}
