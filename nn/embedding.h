// Embedding: a row of numbers for each id.
#pragma once
#include "autograd/ops.h"
#include "nn/module.h"

namespace chapbook {

struct Embedding : Module {
  Variable weight;          // (rows, width)
  double deviation = 0.02;  // of the first weights: GPT-2's

  Embedding(int64_t rows, int64_t width, Backend& backend = default_backend())
      : weight(Variable::parameter(Tensor::zeros({rows, width}, DType::f32, backend))) {}

  // (...) i32 -> (..., width)
  Variable operator()(const Tensor& ids) const { return gather_rows(weight, ids); }

  void initialise(Random& random) override { start_random(weight, deviation, random); }
  void parts(PartVisitor& visit) override { visit("weight", weight); }
};

}  // namespace chapbook
