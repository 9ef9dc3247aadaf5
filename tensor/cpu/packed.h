// Products with packed matrices on the cpu (tensor/packed.h).
#pragma once
#include <string_view>

namespace chapbook::cpu {

// What computes them: avx512vnni, avx2 or portable, the widest of those that this processor has and
// gemm_vectors() allows.
std::string_view packed_vectors();

}  // namespace chapbook::cpu
