// A GPT whose blocks have their norms in a place of choice, or none: what chapter 9 compares. Only that and
// the deviation of its first weights differ from nn/gpt.h.
#pragma once
#include <cmath>

#include "nn/gpt.h"

namespace chapbook {

// frozen: before each branch, but on the way back mean and rstd count as constants, which is wrong.
enum class Norm { none, before, after, frozen };

struct NormedBlock : Module {
  Norm norm;
  LayerNorm ln_1, ln_2;
  Attention attn;
  MLP mlp;

  NormedBlock(const GPTConfig& c, Norm norm)
      : norm(norm),
        ln_1(c.width, true),
        ln_2(c.width, true),
        attn(c.width, c.heads, true),
        mlp(c.width, true) {}

  // region: placement
  Variable operator()(const Variable& x) const {
    if (norm == Norm::none) {
      const Variable seen = attn(x, x);
      return mlp(seen, seen);
    }
    if (norm == Norm::after) {  // Vaswani et al. 2017
      const Variable seen = ln_1(attn(x, x));
      return ln_2(mlp(seen, seen));
    }
    const Variable seen = attn(normalised(ln_1, x), x);  // GPT-2
    return mlp(normalised(ln_2, seen), seen);
  }
  // endregion

  // region: frozen
  Variable normalised(const LayerNorm& layer, const Variable& x) const {
    if (norm != Norm::frozen) return layer(x);
    const LayerNormed now = layer_norm(x.value(), layer.weight.value(), layer.bias.value(), layer.epsilon);
    const Shape rows = x.shape().with(-1, 1);
    return (x - Variable(now.mean.reshape(rows))) * Variable(now.rstd.reshape(rows)) * layer.weight +
           layer.bias;
  }
  // endregion

  void parts(PartVisitor& visit) override {
    if (norm != Norm::none) visit("ln_1", ln_1), visit("ln_2", ln_2);
    visit("attn", attn), visit("mlp", mlp);
  }
};

struct NormedGPT : Module {
  Embedding wte, wpe;
  std::vector<NormedBlock> h;
  LayerNorm ln_f;

  NormedGPT(const GPTConfig& c, Norm norm)
      : wte(c.vocabulary, c.width),
        wpe(c.context, c.width),
        h(c.layers, NormedBlock(c, norm)),
        ln_f(c.width, true) {
    for (NormedBlock& block : h) block = NormedBlock(c, norm);  // copies would share their parameters
  }

  Variable embed(const Tensor& tokens) const { return wte(tokens) + slice(wpe.weight, 0, 0, tokens.size(1)); }
  Variable loss(const Tensor& tokens, const Tensor& targets) const {
    Variable x = embed(tokens);
    for (const NormedBlock& block : h) x = block(x);
    const bool last = h[0].norm == Norm::before || h[0].norm == Norm::frozen;
    return linear_cross_entropy(last ? h[0].normalised(ln_f, x) : x, wte.weight, targets);
  }

  // Every matrix from a normal distribution; GPT-2 also divides the residual branches' by sqrt(2 layers).
  using Module::initialise;
  void initialise(double deviation, bool scaled, uint64_t seed) {
    Random random{seed};
    for (const Parameter& each : parameters(*this)) {
      const Tensor& value = each.variable.value();
      if (value.rank() < 2) continue;  // norms begin with weight 1 and bias 0
      const bool residual = scaled && each.name.ends_with("c_proj.weight");
      const double by = residual ? deviation / std::sqrt(2.0 * static_cast<double>(h.size())) : deviation;
      value.backend().copy((normal(value.shape(), random) * by).view(), value.view());
    }
  }

  void parts(PartVisitor& visit) override {
    visit("wte", wte), visit("wpe", wpe);
    for (size_t i = 0; i < h.size(); ++i) visit("h." + std::to_string(i), h[i]);
    if (h[0].norm == Norm::before || h[0].norm == Norm::frozen) visit("ln_f", ln_f);
  }
};

// The square root of the mean square: how large the numbers of a tensor are.
inline double size_of_numbers(const Tensor& x) { return std::sqrt(mean(x * x).item()); }

}  // namespace chapbook
