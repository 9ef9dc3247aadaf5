// Linear: y = x W + b, or with what the result is to be added to, y = x W + b + residual. Beside the matrix
// there may be a way of low rank (LoRA, Hu et al. 2021), + alpha / rank (x A) B, which learns where the
// matrix does not. For generation the matrix may be packed (tensor/packed.h); then there is no other.
#pragma once
#include <cmath>

#include "autograd/ops.h"
#include "nn/module.h"
#include "tensor/packed.h"

namespace chapbook {

// x times a packed matrix, which has no way back.
inline Variable times_packed(const Variable& x, const PackedMatrix& matrix, const Variable& bias,
                             const Variable& residual) {
  check(!is_recording() || !x.wants_gradient(),
        "a model whose weights are packed as {} has no gradients; "
        "open it with weights in f32",
        name_of(matrix.packing));
  return matmul(x.value(), matrix, bias.value(), residual.value());
}

// The weight is (in, out), as in GPT-2's checkpoints: a row of x times the matrix.
struct Linear : Module {
  Variable weight;          // (in, out)
  Variable bias;            // (out), or nothing
  double deviation;         // of the first weights: 1 / sqrt(in) makes y as large as x (LeCun et al. 1998)
  Variable lora_A, lora_B;  // (in, rank), (rank, out), or nothing; see nn/adapt.h
  double lora_alpha = 0;
  PackedMatrix packed;  // in the place of the weight, or nothing; see LanguageModel::pack_weights

  Linear(int64_t in, int64_t out, bool with_bias, Backend& backend = default_backend())
      : weight(Variable::parameter(Tensor::zeros({in, out}, DType::f32, backend))),
        deviation(1 / std::sqrt(static_cast<double>(in))) {
    if (with_bias) bias = Variable::parameter(Tensor::zeros({out}, DType::f32, backend));
  }

  Variable operator()(const Variable& x, const Variable& residual = {}) const {  // (..., in) -> (..., out)
    const Variable y = packed ? times_packed(x, packed, bias, residual) : linear(x, weight, bias, residual);
    return lora_A ? linear(linear(x, lora_A, {}) * lora_scale(), lora_B, {}, y) : y;
  }
  double lora_scale() const { return lora_alpha / static_cast<double>(lora_A.size(1)); }
  // Whether its matrix learns and nothing stands beside it: then it may be a part of a fused op.
  bool plain() const { return !lora_A && !packed && weight.wants_gradient(); }

  void initialise(Random& random) override {
    start_random(weight, deviation, random);
    start_at(bias, 0);
  }
  void parts(PartVisitor& visit) override {
    visit("weight", weight);
    visit("bias", bias);
    visit("lora_A", lora_A);
    visit("lora_B", lora_B);
  }
};

}  // namespace chapbook
