// IDX: the files in which MNIST's handwritten digits come (LeCun et al. 1998,
// http://yann.lecun.com/exdb/mnist): two zero bytes, the type, the number of axes, a big-endian i32 for each
// axis, and the numbers. Of the types, unsigned bytes are read, as MNIST has no others.
#pragma once
#include <string>

#include "tensor/tensor.h"

namespace chapbook {

// A u8 tensor of up to six axes, on the host. Throws for what is no such file, or cut off, or too long.
Tensor read_idx(const std::string& path);
void write_idx(const std::string& path, const Tensor& numbers);

}  // namespace chapbook
