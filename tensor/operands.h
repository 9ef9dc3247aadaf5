// What ops ask of their operands before a kernel sees them; each error names the op. Shared by the ops on
// Tensors and on Variables.
#pragma once
#include "tensor/tensor.h"

namespace chapbook {

// Operands of one op live on one backend.
void check_same_backend(const char* op, const Tensor& a, const Tensor& b);
void check_same_kind(const char* op, const Tensor& a, const Tensor& b);  // and hold one dtype
void check_same_shape(const char* op, const Tensor& a, const Tensor& b);
void check_float(const char* op, const Tensor& x);
// The norm of each row of x, times `weight`: one number for each of the last axis, of x's dtype, or f32
// where that is a half type.
void check_norm(const char* op, const Tensor& x, const Tensor& weight);

}  // namespace chapbook
