#include "apps/run/origin.h"

#include <cmath>

#include "tensor/ops.h"

namespace chapbook {

Origin::Origin(Module& model)
    : watch_([this](std::string_view op, bool way_back, const Tensor& numbers, const Watch::Inputs& inputs) {
        see(op, way_back, numbers, inputs);
      }) {
  for (const Parameter& each : parameters(model)) names_[each.variable.node().get()] = each.name;
  names_.erase(nullptr);  // of what does not learn
}

void Origin::see(std::string_view op, bool way_back, const Tensor& numbers, const Watch::Inputs& inputs) {
  if (!text_.empty() || !numbers) return;
  bool own = false;
  for (const auto& input : inputs)
    if (const auto found = names_.find(input.get()); found != names_.end() && !own)
      near_ = found->second, own = true;
  if (numbers.dtype() == DType::i32 || std::isfinite(global_norm(std::span(&numbers, 1)).item())) return;
  text_ =
      fmt::format("op '{}' {} {}{}", op, own ? "of" : "after", near_, way_back ? ", on the way back" : "");
}

}  // namespace chapbook
