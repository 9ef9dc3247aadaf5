// Module: a function with parameters. Its parts are plain members, and parts() is the only place that names
// them: counting, saving, loading, moving and initialising are visits.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "tensor/safetensors.h"

namespace chapbook {

struct Module;

// Walks the parameters of a module in the order parts() names them, each with its full name:
// "transformer.h.0.ln_1.weight".
class PartVisitor {
 public:
  using Each = std::function<void(const std::string& name, Variable& parameter)>;
  explicit PartVisitor(Each each) : each_(std::move(each)) {}

  void operator()(const std::string& name, Variable& parameter) {
    if (parameter) each_(prefix_ + name, parameter);  // a bias that is switched off is no part
  }
  void operator()(const std::string& name, Module& part);

 private:
  Each each_;
  std::string prefix_;
};

struct Module {
  virtual ~Module() = default;
  virtual void parts(PartVisitor& visit) = 0;
};

// The parameters of a module; each shares its numbers and its gradient with the module's own.
struct Parameter {
  std::string name;
  Variable variable;
};
std::vector<Parameter> parameters(Module& module);

int64_t count_parameters(Module& module);
void clear_gradients(Module& module);
NamedTensors state(Module& module);  // the values by name, as they stand (not copies)

// Copies the numbers of `tensors` into the module. Strict: names that are missing, extra or of another shape
// are all listed in one error, and nothing is changed. Values of another dtype are converted.
void load(Module& module, const NamedTensors& tensors);

}  // namespace chapbook
