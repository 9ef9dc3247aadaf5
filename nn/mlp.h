// MLP: each place on its own, four times as wide inside.
#pragma once
#include "nn/dropout.h"
#include "nn/linear.h"

namespace chapbook {

struct MLP : Module {
  Linear c_fc;    // (C, 4C)
  Linear c_proj;  // (4C, C)
  Dropout dropout;

  MLP(int64_t width, bool bias, Backend& backend = default_backend())
      : c_fc(width, 4 * width, bias, backend), c_proj(4 * width, width, bias, backend) {}

  // x (..., C): residual + c_proj(gelu(c_fc(x))), in one op unless dropout stands between.
  Variable operator()(const Variable& x, const Variable& residual) const {
    const auto inside = [&](const Variable& added) {
      return chapbook::mlp(x, c_fc.weight, c_fc.bias, c_proj.weight, c_proj.bias, added);
    };
    return dropout.active() ? residual + dropout(inside({})) : inside(residual);
  }

  void parts(PartVisitor& visit) override {
    visit("c_fc", c_fc);
    visit("c_proj", c_proj);
  }
};

}  // namespace chapbook
