// Module: a function with parameters. Its parts are plain members, and parts() is the only place that names
// them: counting, saving, loading, moving and initialising are visits.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "tensor/random.h"
#include "tensor/safetensors.h"

namespace chapbook {

struct Module;

// Walks the parameters of a module in the order parts() names them, each with its full name:
// "transformer.h.0.ln_1.weight".
class PartVisitor {
 public:
  using Each = std::function<void(const std::string& name, Variable& parameter)>;
  using EachModule = std::function<void(const std::string& name, Module& part)>;
  explicit PartVisitor(Each each) : each_(std::move(each)) {}
  // Goes no further than the module's own parts: modules among them are given to `each_module`.
  PartVisitor(Each each, EachModule each_module)
      : each_(std::move(each)), each_module_(std::move(each_module)) {}

  void operator()(const std::string& name, Variable& parameter) {
    if (parameter) each_(prefix_ + name, parameter);  // a bias that is switched off is no part
  }
  void operator()(const std::string& name, Module& part);

 private:
  Each each_;
  EachModule each_module_;
  std::string prefix_;
};

struct Module {
  virtual ~Module() = default;
  virtual void parts(PartVisitor& visit) = 0;

  // The first weights. A layer draws its own; what is made of layers asks them, in the order of parts().
  virtual void initialise(Random& random);
};

// What a layer begins with: numbers of a normal distribution around 0, or one number everywhere. A parameter
// that is nothing stays nothing.
void start_random(const Variable& parameter, double deviation, Random& random);
void start_at(const Variable& parameter, double value);

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
