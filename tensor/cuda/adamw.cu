// AdamW: every number is read and written once, and one launch moves many parameters.
#include <cmath>

#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/each.h"
#include "tensor/cuda/parts.h"

namespace chapbook {

// Loshchilov & Hutter 2019, algorithm 2, for one number. T: what is computed in.
template <class T>
struct AdamWRule {
  T rate, beta1, rest1, beta2, rest2, correct_m, correct_v, epsilon;

  explicit AdamWRule(const AdamWStep& step)
      : rate(static_cast<T>(step.rate)),
        beta1(static_cast<T>(step.beta1)),
        rest1(static_cast<T>(1 - step.beta1)),
        beta2(static_cast<T>(step.beta2)),
        rest2(static_cast<T>(1 - step.beta2)),
        correct_m(static_cast<T>(1 / (1 - std::pow(step.beta1, step.step)))),
        correct_v(static_cast<T>(1 / (1 - std::pow(step.beta2, step.step)))),
        epsilon(static_cast<T>(step.epsilon)) {}

  __device__ void move(T& weight, T gradient, T& m, T& v, T decay) const {
    m = beta1 * m + rest1 * gradient;
    v = beta2 * v + rest2 * gradient * gradient;
    const T update = m * correct_m / (std::sqrt(v * correct_v) + epsilon);
    weight -= rate * (update + decay * weight);
  }
};

// The scale of gradients, which may be missing.
__device__ double scale_from(const double* scale) { return scale ? *scale : 1; }

struct AdamWNumbers {
  float* weight;
  const float* gradient;
  float *m, *v;
  int64_t count;
  float decay;
};

// A block for each chunk.
__global__ void adamw_parts(AdamWRule<float> rule, const double* gradient_scale,
                            const __grid_constant__ Parts<AdamWNumbers> parts) {
  const double scale = scale_from(gradient_scale);
  if (!std::isfinite(scale)) return;
  const auto [number, begin, end] = parts.place(blockIdx.x);
  const AdamWNumbers part = parts.part[number];
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
    rule.move(part.weight[i], part.gradient[i] * static_cast<float>(scale), part.m[i], part.v[i], part.decay);
}

// Any dtypes and strides, in double.
__global__ void adamw_strided(AdamWRule<double> rule, const double* gradient_scale,
                              const __grid_constant__ Loop<4> loop, int64_t count, Any weights, Any gradients,
                              Any ms, Any vs, double decay) {
  const double scale = scale_from(gradient_scale);
  const int64_t i = thread_number();
  if (i >= count || !std::isfinite(scale)) return;
  const auto [at_weight, at_gradient, at_m, at_v] = loop.at(i);
  double weight = weights.read(at_weight), m = ms.read(at_m), v = vs.read(at_v);
  rule.move(weight, gradients.read(at_gradient) * scale, m, v, decay);
  weights.write(at_weight, weight);
  ms.write(at_m, m);
  vs.write(at_v, v);
}

void CudaBackend::adamw(const AdamWStep& step, std::span<const AdamWPart> parts) {
  const double* scale = step.gradient_scale.as<double>();
  const AdamWRule<float> rule(step);
  Parts<AdamWNumbers> dense;
  const auto flush = [&] {
    if (dense.chunks()) launch<adamw_parts>({dense.chunks(), 256}, rule, scale, dense);
    dense = {};
  };
  for (const AdamWPart& part : parts) {
    const std::array<View, 4> views{part.weight, part.gradient, part.m, part.v};
    const int64_t count = part.weight.count();
    const bool covered = std::all_of(views.begin(), views.end(),
                                     [](const View& x) { return x.dtype == DType::f32 && x.contiguous(); });
    if (covered) {
      dense.add({part.weight.as<float>(), part.gradient.as<float>(), part.m.as<float>(), part.v.as<float>(),
                 count, static_cast<float>(part.decay)});
      if (dense.full()) flush();
    } else if (count) {
      const Loop<4> loop(part.weight.shape,
                         {part.weight.strides, part.gradient.strides, part.m.strides, part.v.strides});
      launch<adamw_strided>({blocks_for(count, 256), 256}, AdamWRule<double>(step), scale, loop, count,
                            Any(part.weight), Any(part.gradient), Any(part.m), Any(part.v), part.decay);
    }
  }
  flush();
}

}  // namespace chapbook
