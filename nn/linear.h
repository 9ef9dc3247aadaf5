// Linear: y = x W + b, or with what the result is to be added to, y = x W + b + residual.
#pragma once
#include <cmath>

#include "autograd/ops.h"
#include "nn/module.h"

namespace chapbook {

// The weight is (in, out), as in GPT-2's checkpoints: a row of x times the matrix.
struct Linear : Module {
  Variable weight;   // (in, out)
  Variable bias;     // (out), or nothing
  double deviation;  // of the first weights: 1 / sqrt(in) makes y as large as x (LeCun et al. 1998)

  Linear(int64_t in, int64_t out, bool with_bias, Backend& backend = default_backend())
      : weight(Variable::parameter(Tensor::zeros({in, out}, DType::f32, backend))),
        deviation(1 / std::sqrt(static_cast<double>(in))) {
    if (with_bias) bias = Variable::parameter(Tensor::zeros({out}, DType::f32, backend));
  }

  Variable operator()(const Variable& x, const Variable& residual = {}) const {  // (..., in) -> (..., out)
    return linear(x, weight, bias, residual);
  }

  void initialise(Random& random) override {
    start_random(weight, deviation, random);
    start_at(bias, 0);
  }
  void parts(PartVisitor& visit) override {
    visit("weight", weight);
    visit("bias", bias);
  }
};

}  // namespace chapbook
