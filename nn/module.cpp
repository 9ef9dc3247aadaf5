#include "nn/module.h"

#include <map>

namespace chapbook {

void PartVisitor::operator()(const std::string& name, Module& part) {
  const std::string before = prefix_;
  prefix_ += name + ".";
  part.parts(*this);
  prefix_ = before;
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
