// A tensor as a person wants to see it.
#pragma once
#include <string>

#include "tensor/tensor.h"

namespace chapbook {

// Brackets nested as deep as the axes, columns aligned, four significant digits, long axes shortened to their
// first and last three, and a last line with shape, dtype and backend.
std::string print(const Tensor& x);

}  // namespace chapbook
