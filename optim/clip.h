// Clipping by the global norm (Pascanu, Mikolov & Bengio 2013): when the gradient of all parameters together
// is longer than `limit`, it is shortened to that length.
#pragma once
#include <vector>

#include "nn/module.h"
#include "tensor/ops.h"

namespace chapbook {

inline double gradient_norm(const std::vector<Parameter>& parameters) {
  RecycledVector<Tensor> gradients;
  for (const Parameter& parameter : parameters)
    if (parameter.variable.gradient()) gradients.push_back(parameter.variable.gradient());
  return global_norm(gradients);
}

// What to multiply gradients with; 1 when the norm is within the limit, or when the limit is 0: no clipping.
inline double clip_scale(double norm, double limit) { return limit > 0 && norm > limit ? limit / norm : 1; }

}  // namespace chapbook
