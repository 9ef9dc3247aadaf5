// The product's innermost loop for processors with AVX2 and FMA: 12 of 16 registers of 8 floats hold the
// result.
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::cpu {
constinit const MicroKernel<float> avx2_kernel = Tables<Floats<8>, 2, 6>::kernel;
}
