#include "nn/adapt.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tensor/ops.h"

namespace chapbook {

std::vector<Parameter> learning_parameters(Module& module) {
  std::vector<Parameter> all = parameters(module);
  std::erase_if(all, [](const Parameter& each) { return !each.variable.wants_gradient(); });
  return all;
}

void freeze(Module& module, const std::function<bool(const std::string& name)>& learns) {
  PartVisitor visit([&](const std::string& name, Variable& parameter) {
    if (!learns(name)) parameter = Variable(parameter.value());
  });
  module.parts(visit);
}

// The number in the name of a block's part: 3 in "transformer.h.3.ln_1.weight".
static std::optional<int64_t> block_of(const std::string& name) {
  for (size_t begin = 0, end = 0; begin < name.size(); begin = end + 1) {
    end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (!part.empty() && part.find_first_not_of("0123456789") == part.npos) return std::stoll(part);
  }
  return {};
}

void freeze_before_last(Module& module, int64_t blocks) {
  int64_t there = 0;
  for (const Parameter& each : parameters(module))
    there = std::max(there, block_of(each.name).value_or(-1) + 1);
  check(blocks >= 1 && blocks <= there, "the last {} blocks cannot learn: the model has {}", blocks, there);
  bool reached = false;
  freeze(module, [&](const std::string& name) {
    reached = reached || block_of(name).value_or(-1) >= there - blocks;
    return reached;
  });
}

static void visit_linears(Module& module, const std::string& before,
                          const std::function<void(const std::string& name, Linear& linear)>& each) {
  PartVisitor visit([](const std::string&, Variable&) {},
                    [&](const std::string& name, Module& part) {
                      if (auto* linear = dynamic_cast<Linear*>(&part)) return each(before + name, *linear);
                      visit_linears(part, before + name + ".", each);
                    });
  module.parts(visit);
}

void for_each_linear(Module& module,
                     const std::function<void(const std::string& name, Linear& linear)>& each) {
  visit_linears(module, "", each);
}

void add_low_rank(Module& module, const LowRank& low_rank, Random& random,
                  const std::function<bool(const std::string& name)>& chosen) {
  freeze(module, [](const std::string&) { return false; });
  int64_t count = 0;
  for_each_linear(module, [&](const std::string& name, Linear& linear) {
    if (!chosen(name)) return;
    Backend& backend = linear.weight.value().backend();
    const int64_t in = linear.weight.size(0), out = linear.weight.size(1), rank = low_rank.rank;
    check(rank >= 1 && rank <= std::min(in, out), "a rank of {} beside {}, whose matrix is {}", rank, name,
          linear.weight.shape());
    linear.lora_A = Variable::parameter(Tensor::zeros({in, rank}, DType::f32, backend));
    linear.lora_B = Variable::parameter(Tensor::zeros({rank, out}, DType::f32, backend));
    linear.lora_alpha = low_rank.alpha;
    start_random(linear.lora_A, 1 / std::sqrt(static_cast<double>(in)), random);
    ++count;
  });
  check(count > 0, "no product is to have a way of low rank beside it");
}

bool has_low_rank(Module& module) {
  bool has = false;
  for_each_linear(module, [&](const std::string&, Linear& linear) { has = has || linear.lora_A; });
  return has;
}

void merge_low_rank(Module& module) {
  for_each_linear(module, [](const std::string&, Linear& linear) {
    if (!linear.lora_A) return;
    const Tensor& weight = linear.weight.value();
    const Tensor added = matmul(linear.lora_A.value(), linear.lora_B.value()) * linear.lora_scale();
    weight.backend().copy((weight + added).view(), weight.view());
    linear.lora_A = linear.lora_B = {};
  });
}

}  // namespace chapbook
