// Optimizer: moves parameters against their gradients. SGD (with momentum) and AdamW.
#pragma once
#include <vector>

#include "nn/module.h"

namespace chapbook {

class Optimizer {
 public:
  explicit Optimizer(std::vector<Parameter> parameters);  // of floating-point numbers, on one backend
  virtual ~Optimizer() = default;

  // One update with learning rate `rate`; gradients are multiplied by `gradient_scale` first, one f64 (see
  // clip.h). Where that is not finite, nothing changes but the count of steps. A parameter without a gradient
  // stays as it is.
  virtual void step(double rate, const Tensor& gradient_scale = {}) = 0;
  void clear_gradients();
  void take_back_step() { --steps_; }  // one that changed nothing

  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t steps() const { return steps_; }

  // What has to be saved to go on: tensors named after their parameters, and the count of steps.
  virtual NamedTensors state() const = 0;
  void load(const NamedTensors& tensors, int64_t steps);  // strict, like load() in nn/module.h

 protected:
  void check_scale(const Tensor& gradient_scale) const;

  std::vector<Parameter> parameters_;
  int64_t steps_ = 0;
};

struct SGDSettings {
  double momentum = 0.9;
  double decay = 0;  // of every matrix: adds decay * weight to its gradient
};

// v = momentum v + gradient;  weight -= rate v.
class SGD : public Optimizer {
 public:
  SGD(std::vector<Parameter> parameters, SGDSettings settings = {});
  void step(double rate, const Tensor& gradient_scale = {}) override;
  NamedTensors state() const override;

 private:
  SGDSettings settings_;
  std::vector<Tensor> velocity_;
};

struct AdamWSettings {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double decay = 0.1;  // of matrices only: biases and norms are left alone
};

// Loshchilov & Hutter 2019: Adam's step, with the decay of weights apart from it.
class AdamW : public Optimizer {
 public:
  AdamW(std::vector<Parameter> parameters, AdamWSettings settings = {});
  void step(double rate, const Tensor& gradient_scale = {}) override;
  NamedTensors state() const override;

 private:
  AdamWSettings settings_;
  std::vector<Tensor> m_, v_;  // running means of the gradient and of its square
};

}  // namespace chapbook
