// Sequential: layers one after the other; and the activations, as layers that have no parameters.
#pragma once
#include <memory>

#include "autograd/ops.h"
#include "nn/module.h"

namespace chapbook {

template <Variable (*function)(const Variable&)>
struct ActivationLayer : Module {
  Variable operator()(const Variable& x) const { return function(x); }
  void parts(PartVisitor&) override {}
};
using Relu = ActivationLayer<relu>;
using Tanh = ActivationLayer<tanh>;

// Anything that is a Module and turns a Variable into a Variable: Sequential net(Linear(2, 8, true), Tanh(),
// Linear(8, 2, true)). Its parts are called "0", "1", ...
struct Sequential : Module {
  template <class... Layers>
  explicit Sequential(Layers... layers) {
    (add(std::move(layers)), ...);
  }

  template <class Layer>
  void add(Layer layer) {
    auto owned = std::make_shared<Layer>(std::move(layer));
    layers_.push_back({owned, [owned](const Variable& x) -> Variable { return (*owned)(x); }});
  }

  Variable operator()(const Variable& x) const {
    Variable y = x;
    for (const Step& step : layers_) y = step.call(y);
    return y;
  }

  void parts(PartVisitor& visit) override {
    for (size_t i = 0; i < layers_.size(); ++i) visit(std::to_string(i), *layers_[i].module);
  }

 private:
  struct Step {
    std::shared_ptr<Module> module;
    std::function<Variable(const Variable&)> call;
  };
  std::vector<Step> layers_;
};

}  // namespace chapbook
