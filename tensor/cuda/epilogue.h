// What is left to do with a product that the matrix library gave without its epilogue.
#pragma once
#include "tensor/backend.h"

namespace chapbook {

// y = residual + activation(sum + bias), for `sum` (m, n) in f64 where y is, else in f32; sum may be y
// itself. The epilogue's b_sums are not looked at.
void finish_product(View sum, View y, const Epilogue& epilogue);

}  // namespace chapbook
