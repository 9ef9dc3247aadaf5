// Where the first number comes from that is not finite: while an Origin lives, it looks at what every op
// gives.
#pragma once
#include <map>
#include <string>

#include "autograd/variable.h"
#include "nn/module.h"

namespace chapbook {

class Origin {
 public:
  explicit Origin(Module& model);

  // "op 'linear' of transformer.h.3.mlp.c_fc.weight, on the way back"; nothing while all numbers are finite.
  // An op without parameters is named with the last one before it.
  const std::string& text() const { return text_; }

 private:
  void see(std::string_view op, bool way_back, const Tensor& numbers, const Watch::Inputs& inputs);

  std::map<const Node*, std::string> names_;  // of parameters
  std::string near_ = "the tokens", text_;
  Watch watch_;
};

}  // namespace chapbook
