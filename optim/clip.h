// Clipping by the global norm (Pascanu, Mikolov & Bengio 2013): when the gradient of all parameters together
// is longer than a limit, it is shortened to that length. Norm and scale stay on the backend, as one f64
// each: the host does not wait for them.
#pragma once
#include <cmath>
#include <vector>

#include "nn/module.h"
#include "tensor/ops.h"

namespace chapbook {

inline Tensor gradient_norm(const std::vector<Parameter>& parameters) {
  RecycledVector<Tensor> gradients;
  for (const Parameter& parameter : parameters)
    if (parameter.variable.gradient()) gradients.push_back(parameter.variable.gradient());
  return global_norm(gradients);
}

// What to multiply gradients with whose norm is `norm`, when `share` of them is wanted (they may be a sum
// over batches): share, or less where that would be longer than `limit`; 0 is no limit. Where the norm is not
// finite, neither is the scale: 0 times such a norm is NaN.
inline Tensor clip_scale(const Tensor& norm, double limit, double share = 1) {
  check(norm.dtype() == DType::f64 && norm.rank() == 0, "clip_scale: the norm is one f64, not {} of {}",
        norm.shape(), name_of(norm.dtype()));
  check(limit >= 0 && std::isfinite(share), "clip_scale: a limit of {} and a share of {}", limit, share);
  const Tensor checked = norm * 0 + share;
  return limit > 0 ? minimum(scalar(limit, norm) / norm, checked) : checked;
}

}  // namespace chapbook
