#include "nn/module.h"

#include <map>

#include "tensor/ops.h"

namespace chapbook {

void PartVisitor::operator()(const std::string& name, Module& part) {
  if (each_module_) return each_module_(name, part);
  const std::string before = prefix_;
  prefix_ += name + ".";
  part.parts(*this);
  prefix_ = before;
}

void Module::initialise(Random& random) {
  PartVisitor visit([](const std::string& name,
                       Variable&) { fail("initialise: a layer must say how its '{}' begins", name); },
                    [&](const std::string&, Module& part) { part.initialise(random); });
  parts(visit);
}

void start_random(const Variable& parameter, double deviation, Random& random) {
  if (!parameter) return;
  const Tensor& value = parameter.value();
  const Tensor drawn = normal(value.shape(), random, value.dtype(), value.backend()) * deviation;
  value.backend().copy(drawn.view(), value.view());
}

void start_at(const Variable& parameter, double value) {
  if (parameter) parameter.value().backend().fill(parameter.value().view(), value);
}

std::vector<Parameter> parameters(Module& module) {
  std::vector<Parameter> all;
  PartVisitor visit([&](const std::string& name, Variable& parameter) { all.push_back({name, parameter}); });
  module.parts(visit);
  return all;
}

int64_t count_parameters(Module& module) {
  int64_t count = 0;
  for (const Parameter& parameter : parameters(module)) count += parameter.variable.value().count();
  return count;
}

void clear_gradients(Module& module) {
  for (Parameter& parameter : parameters(module)) parameter.variable.clear_gradient();
}

NamedTensors state(Module& module) {
  NamedTensors tensors;
  for (const Parameter& parameter : parameters(module))
    tensors.emplace_back(parameter.name, parameter.variable.value());
  return tensors;
}

void load(Module& module, const NamedTensors& tensors) {
  std::map<std::string, Tensor> given(tensors.begin(), tensors.end());
  std::string problems;
  const std::vector<Parameter> wanted = parameters(module);
  for (const Parameter& parameter : wanted) {
    const auto found = given.find(parameter.name);
    const Shape& shape = parameter.variable.shape();
    if (found == given.end()) {
      problems += fmt::format("\n  missing: {} {}", parameter.name, shape);
    } else {
      if (!(found->second.shape() == shape))
        problems += fmt::format("\n  misshapen: {} is {}, the model has {}", parameter.name,
                                found->second.shape(), shape);
      given.erase(found);
    }
  }
  for (const auto& [name, tensor] : given) problems += fmt::format("\n  extra: {} {}", name, tensor.shape());
  check(problems.empty(), "load: the tensors are not this model's:{}", problems);

  given = {tensors.begin(), tensors.end()};
  for (const Parameter& parameter : wanted) {
    const Tensor& value = parameter.variable.value();
    const Tensor from = given.at(parameter.name).to(value.backend());
    value.backend().copy(from.view(), value.view());
  }
}

}  // namespace chapbook
