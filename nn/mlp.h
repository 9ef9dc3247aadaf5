// MLP: each place on its own, wider inside.
#pragma once
#include "nn/dropout.h"

namespace chapbook {

// GPT-2's: four times as wide.
struct MLP : Module {
  Linear c_fc;    // (C, 4C)
  Linear c_proj;  // (4C, C)
  Dropout dropout;

  MLP(int64_t width, bool bias, Backend& backend = default_backend())
      : c_fc(width, 4 * width, bias, backend), c_proj(4 * width, width, bias, backend) {}

  // x (..., C): residual + c_proj(gelu(c_fc(x))), in one op unless dropout stands between, not all of it
  // learns, or somebody looks.
  Variable operator()(const Variable& x, const Variable& residual) const {
    const Within within("mlp");
    if (watched()) return dropout.add(residual, c_proj, named("neurons", gelu(c_fc(x))));
    const auto inside = [&](const Variable& added) {
      if (!c_fc.plain() || !c_proj.plain()) return c_proj(gelu(c_fc(x)), added);
      return chapbook::mlp(x, c_fc.weight, c_fc.bias, c_proj.weight, c_proj.bias, added);
    };
    return dropout.active() ? residual + dropout(inside({})) : inside(residual);
  }

  void parts(PartVisitor& visit) override {
    visit("c_fc", c_fc);
    visit("c_proj", c_proj);
  }
};

// Llama's (SwiGLU, Shazeer 2020): what goes through is multiplied with a gate.
struct GatedMLP : Module {
  Linear gate_proj, up_proj;  // (C, inner)
  Linear down_proj;           // (inner, C)
  Dropout dropout;

  GatedMLP(int64_t width, int64_t inner, bool bias, Backend& backend = default_backend())
      : gate_proj(width, inner, bias, backend),
        up_proj(width, inner, bias, backend),
        down_proj(inner, width, bias, backend) {}

  // x (..., C): residual + down_proj(silu(gate_proj(x)) up_proj(x)).
  Variable operator()(const Variable& x, const Variable& residual) const {
    const Within within("mlp");
    return dropout.add(residual, down_proj, named("neurons", gated_silu(gate_proj(x), up_proj(x))));
  }

  void parts(PartVisitor& visit) override {
    visit("gate_proj", gate_proj);
    visit("up_proj", up_proj);
    visit("down_proj", down_proj);
  }
};

}  // namespace chapbook
