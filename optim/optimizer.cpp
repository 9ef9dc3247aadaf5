#include "optim/optimizer.h"

#include <limits>
#include <map>

#include "tensor/ops.h"

namespace chapbook {

// One tensor of zeros for each parameter.
static std::vector<Tensor> zeros_like(const std::vector<Parameter>& parameters) {
  std::vector<Tensor> zeros;
  for (const Parameter& parameter : parameters) {
    const Tensor& value = parameter.variable.value();
    zeros.push_back(Tensor::zeros(value.shape(), value.dtype(), value.backend()));
  }
  return zeros;
}

// Decay is for matrices: shrinking a bias or a norm's scale only disturbs what the layer computes.
static double decay_of(const Parameter& parameter, double decay) {
  return parameter.variable.value().rank() >= 2 ? decay : 0;
}

Optimizer::Optimizer(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {
  for (const auto& [name, variable] : parameters_) {
    check(variable.wants_gradient(), "optimizer: '{}' is no parameter", name);
    check(is_float(variable.value().dtype()), "optimizer: '{}' has {}, not floating-point numbers", name,
          name_of(variable.value().dtype()));
    const Backend &here = variable.value().backend(), &first = parameters_[0].variable.value().backend();
    check(&here == &first, "optimizer: '{}' is on '{}' and '{}' on '{}'; one step moves them all", name,
          here.name(), parameters_[0].name, first.name());
  }
}

void Optimizer::check_scale(const Tensor& scale) const {
  if (!scale || parameters_.empty()) return;
  const Backend& here = parameters_[0].variable.value().backend();
  check(scale.count() == 1 && scale.dtype() == DType::f64 && &scale.backend() == &here,
        "optimizer: the gradient's scale is {} of {} on '{}', not one f64 on '{}'", scale.shape(),
        name_of(scale.dtype()), scale.backend().name(), here.name());
}

static void check_share(const char* what, double share) {  // of a running mean that stays in each step
  check(share >= 0 && share < 1, "optimizer: {} is {}; it must be 0 to below 1", what, share);
}

void Optimizer::clear_gradients() {
  for (Parameter& parameter : parameters_) parameter.variable.clear_gradient();
}

static void name_after(NamedTensors& all, const char* what, const std::vector<Parameter>& parameters,
                       const std::vector<Tensor>& tensors) {
  for (size_t i = 0; i < parameters.size(); ++i)
    all.emplace_back(fmt::format("{}.{}", what, parameters[i].name), tensors[i]);
}

void Optimizer::load(const NamedTensors& tensors, int64_t steps) {
  std::map<std::string, Tensor> given(tensors.begin(), tensors.end());
  const NamedTensors wanted = state();
  for (const auto& [name, tensor] : wanted) {
    const auto found = given.find(name);
    check(found != given.end(), "optimizer: the saved state has no '{}'", name);
    check(found->second.shape() == tensor.shape(), "optimizer: '{}' is saved as {}, the model has {}", name,
          found->second.shape(), tensor.shape());
  }
  check(given.size() == wanted.size(), "optimizer: the saved state has {} tensors, this optimizer {}",
        given.size(), wanted.size());
  for (const auto& [name, tensor] : wanted)
    tensor.backend().copy(given.at(name).to(tensor.backend()).view(), tensor.view());
  steps_ = steps;
}

SGD::SGD(std::vector<Parameter> parameters, SGDSettings settings)
    : Optimizer(std::move(parameters)), settings_(settings), velocity_(zeros_like(parameters_)) {
  check_share("momentum", settings.momentum);
}

void SGD::step(double rate, const Tensor& gradient_scale) {
  check_scale(gradient_scale);
  ++steps_;
  if (parameters_.empty()) return;
  Backend& backend = parameters_[0].variable.value().backend();
  const Tensor scale = gradient_scale ? gradient_scale : Tensor::full({}, 1, DType::f64, backend);
  const Tensor finite = less(abs(scale), scalar(std::numeric_limits<double>::infinity(), scale));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Variable& weight = parameters_[i].variable;
    if (!weight.gradient()) continue;
    const double decay = decay_of(parameters_[i], settings_.decay);
    Tensor gradient = weight.gradient() * scale.to(weight.value().dtype());
    if (decay > 0) gradient = gradient + weight.value() * decay;
    const Tensor velocity = velocity_[i] * settings_.momentum + gradient;
    const Tensor moved = weight.value() - velocity * rate;
    velocity_[i] = where(finite, velocity, velocity_[i]);
    backend.copy(where(finite, moved, weight.value()).view(), weight.value().view());
  }
}

NamedTensors SGD::state() const {
  NamedTensors all;
  name_after(all, "velocity", parameters_, velocity_);
  return all;
}

AdamW::AdamW(std::vector<Parameter> parameters, AdamWSettings settings)
    : Optimizer(std::move(parameters)),
      settings_(settings),
      m_(zeros_like(parameters_)),
      v_(zeros_like(parameters_)) {
  check_share("beta1", settings.beta1);
  check_share("beta2", settings.beta2);
  check(settings.epsilon >= 0, "optimizer: epsilon is {}; it must be 0 or more", settings.epsilon);
}

void AdamW::step(double rate, const Tensor& gradient_scale) {
  check_scale(gradient_scale);
  const AdamWStep step{rate,     settings_.beta1,      settings_.beta2, settings_.epsilon,
                       ++steps_, gradient_scale.view()};
  RecycledVector<AdamWPart> parts;
  RecycledVector<Tensor> held;  // gradients made contiguous live until the call is over
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Variable& weight = parameters_[i].variable;
    if (!weight.gradient()) continue;
    held.push_back(weight.gradient().as_contiguous());
    parts.push_back({weight.value().view(), held.back().view(), m_[i].view(), v_[i].view(),
                     decay_of(parameters_[i], settings_.decay)});
  }
  if (!parts.empty()) parameters_[0].variable.value().backend().adamw(step, parts);
}

NamedTensors AdamW::state() const {
  NamedTensors all;
  name_after(all, "m", parameters_, m_);
  name_after(all, "v", parameters_, v_);
  return all;
}

}  // namespace chapbook
