// A tensor as a person wants to see it.
#pragma once
#include <string>

#include "tensor/tensor.h"

namespace chapbook {

// Brackets nested as deep as the axes, aligned columns, about four significant digits, and a last line with
// dtype, shape and backend:
//   [[1.000, 0.500],
//    [0.333, 0.250]]
//   f32 (2, 2) on cpu
// Of more than 1000 numbers, axes longer than 6 show their first and last three. Ends without a newline.
std::string print(const Tensor& x);

}  // namespace chapbook
