// Where the first number comes from that is not finite: while an Origin lives, it looks at what every op
// gives, and on the way back at what its rules give.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "autograd/watch.h"
#include "nn/module.h"

namespace chapbook {

class Origin : public Watch {
 public:
  explicit Origin(Module& model);

  // "op 'linear' of transformer.h.3.mlp.c_fc.weight, on the way back"; nothing while all numbers are finite.
  // An op without parameters is named with the last one before it.
  const std::string& text() const { return text_; }

  void recorded(Node& node, const Tensor& value) override;

 private:
  void see(std::string_view op, bool way_back, const Tensor& numbers, const std::string& own);

  std::map<const Node*, std::string> names_;  // of parameters
  std::string near_ = "the tokens", text_;
};

}  // namespace chapbook
