// LossScaler: the dynamic loss scale of Micikevicius et al. 2018 ("Mixed precision training"). Many gradients
// are below f16's smallest number, 2^-24, and would become 0. So the loss is multiplied by a large scale, all
// gradients with it, and the optimizer divides by it. The scale rises until a gradient overflows.
#pragma once
#include <cstdint>

namespace chapbook {

struct LossScaler {
  static constexpr int64_t patience = 2000;  // good steps before a larger scale is tried

  double scale = 65536;    // a power of two: multiplying by it rounds nothing
  int64_t good_steps = 0;  // since the scale last changed

  // After a step whose gradients were all finite, or were not: those are of no use, and the step is to be
  // skipped.
  void update(bool finite) {
    if (finite && ++good_steps < patience) return;
    scale *= finite ? 2 : 0.5;
    good_steps = 0;
  }
};

}  // namespace chapbook
