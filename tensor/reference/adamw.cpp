#include <cmath>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

// Loshchilov & Hutter 2019, algorithm 2: decay acts on the weight itself, not through the gradient.
void ReferenceBackend::adamw(const AdamWStep& step, std::span<const AdamWPart> parts) {
  const double correct_m = 1 - std::pow(step.beta1, step.step),
               correct_v = 1 - std::pow(step.beta2, step.step);
  const double scale = step.gradient_scale ? *step.gradient_scale.as<double>() : 1;
  if (!std::isfinite(scale)) return;
  for (const AdamWPart& part : parts) {
    const Numbers weight(part.weight), gradient(part.gradient), m(part.m), v(part.v);
    for (Index i(part.weight.shape); i; ++i) {
      const double g = gradient(i) * scale;
      m(i) = step.beta1 * m(i) + (1 - step.beta1) * g;
      v(i) = step.beta2 * v(i) + (1 - step.beta2) * g * g;
      const double update = m(i) / correct_m / (std::sqrt(v(i) / correct_v) + step.epsilon);
      weight(i) = weight(i) - step.rate * (update + part.decay * weight(i));
    }
  }
}

}  // namespace chapbook
