// AdamW in one pass: every number is read and written once, and all parameters share one parallel loop, so
// that a hundred small ones cost no more than a large one.
#include <cmath>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

static bool covered(const AdamWPart& part) {
  return cpu::all_f32({part.weight, part.gradient, part.m, part.v}) && part.weight.contiguous() &&
         part.gradient.contiguous() && part.m.contiguous() && part.v.contiguous();
}

void CpuBackend::adamw(const AdamWStep& step, std::span<const AdamWPart> parts) {
  const float scale = step.gradient_scale ? static_cast<float>(*step.gradient_scale.as<double>()) : 1;
  if (!std::isfinite(scale)) return;
  int64_t total = 0;
  for (const AdamWPart& part : parts) {
    if (covered(part))
      total += part.weight.count();
    else
      reference_backend().adamw(step, {&part, 1});
  }
  const float epsilon = static_cast<float>(step.epsilon);
  const float beta1 = static_cast<float>(step.beta1), rest1 = static_cast<float>(1 - step.beta1);
  const float beta2 = static_cast<float>(step.beta2), rest2 = static_cast<float>(1 - step.beta2);
  const float correct_m = static_cast<float>(1 / (1 - std::pow(step.beta1, step.step)));
  const float correct_v = static_cast<float>(1 / (1 - std::pow(step.beta2, step.step)));
  const float rate = static_cast<float>(step.rate);
  parallel_for(total, cpu::grain, [&](int64_t begin, int64_t end) {
    int64_t start = 0;  // of the part, in the count over all parts
    for (const AdamWPart& part : parts) {
      if (start >= end) break;
      if (!covered(part)) continue;
      const int64_t count = part.weight.count();
      const float decay = static_cast<float>(step.rate * part.decay);
      float *weight = part.weight.as<float>(), *m = part.m.as<float>(), *v = part.v.as<float>();
      const float* gradient = part.gradient.as<float>();
#pragma GCC ivdep
      for (int64_t i = std::max<int64_t>(0, begin - start); i < std::min(count, end - start); ++i) {
        const float g = gradient[i] * scale;
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * g * g;
        const float update = m[i] * correct_m / (std::sqrt(v[i] * correct_v) + epsilon);
        weight[i] -= rate * update + decay * weight[i];
      }
      start += count;
    }
  });
}

}  // namespace chapbook
