// LayerNorm: every row to mean 0 and deviation 1, then scaled and shifted by what is learned (Ba, Kiros &
// Hinton 2016).
#pragma once
#include "autograd/ops.h"
#include "nn/module.h"

namespace chapbook {

struct LayerNorm : Module {
  static constexpr double epsilon = 1e-5;  // GPT-2's
  Variable weight, bias;                   // (width); the bias may be nothing

  LayerNorm(int64_t width, bool with_bias, Backend& backend = default_backend())
      : weight(Variable::parameter(Tensor::full({width}, 1, DType::f32, backend))) {
    if (with_bias) bias = Variable::parameter(Tensor::zeros({width}, DType::f32, backend));
  }

  Variable operator()(const Variable& x) const { return layer_norm(x, weight, bias, epsilon); }

  void parts(PartVisitor& visit) override {
    visit("weight", weight);
    visit("bias", bias);
  }
};

}  // namespace chapbook
