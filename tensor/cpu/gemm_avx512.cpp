// The product's innermost loop for processors with AVX-512: 24 of 32 registers of 16 floats hold the result,
// 6 rows of 4: wider rather than higher, as a number of a that is loaded then serves four multiply-adds.
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::cpu {
constinit const MicroKernel<float> avx512_kernel = Tables<Floats<16>, 4, 6>::kernel;
}
