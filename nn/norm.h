// Norms bring every row to one size. LayerNorm: to mean 0 and deviation 1, then scaled and shifted by what is
// learned (Ba, Kiros & Hinton 2016). RMSNorm: to a mean square of 1, then scaled (Zhang & Sennrich 2019).
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

  void initialise(Random&) override {
    start_at(weight, 1);
    start_at(bias, 0);
  }
  void parts(PartVisitor& visit) override {
    visit("weight", weight);
    visit("bias", bias);
  }
};

struct RMSNorm : Module {
  Variable weight;  // (width)
  double epsilon;

  RMSNorm(int64_t width, double epsilon, Backend& backend = default_backend())
      : weight(Variable::parameter(Tensor::full({width}, 1, DType::f32, backend))), epsilon(epsilon) {}

  Variable operator()(const Variable& x) const { return rms_norm(x, weight, epsilon); }

  void initialise(Random&) override { start_at(weight, 1); }
  void parts(PartVisitor& visit) override { visit("weight", weight); }
};

}  // namespace chapbook
