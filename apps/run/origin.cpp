#include "apps/run/origin.h"

#include <cmath>

#include "tensor/ops.h"

namespace chapbook {

Origin::Origin(Module& model) {
  for (const Parameter& each : parameters(model)) names_[each.variable.node().get()] = each.name;
  names_.erase(nullptr);  // of what does not learn
}

void Origin::recorded(Node& node, const Tensor& value) {
  std::string own;
  for (const Edge& edge : node.edges)
    for (const auto& input : edge.inputs)
      if (const auto found = names_.find(input.get()); found != names_.end() && own.empty())
        own = found->second;
  see(node.name, false, value, own);
  for (Edge& edge : node.edges)
    edge.rule = [this, rule = std::move(edge.rule), op = node.name, own](const Tensor& dy) {
      Edge::Gradients gradients = rule(dy);
      for (const Tensor& gradient : gradients) see(op, true, gradient, own);
      return gradients;
    };
}

void Origin::see(std::string_view op, bool way_back, const Tensor& numbers, const std::string& own) {
  if (!text_.empty() || !numbers) return;
  if (!own.empty()) near_ = own;
  if (numbers.dtype() == DType::i32 || std::isfinite(global_norm(std::span(&numbers, 1)).item())) return;
  text_ = fmt::format("op '{}' {} {}{}", op, own.empty() ? "after" : "of", near_,
                      way_back ? ", on the way back" : "");
}

}  // namespace chapbook
