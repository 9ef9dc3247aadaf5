#include "apps/run/family.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace chapbook {

namespace gpt2 {
extern const Family family;
}
namespace llama {
extern const Family family;
}

const std::vector<Family>& families() {
  static const std::vector<Family> all = {gpt2::family, llama::family};
  return all;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family& each : families()) names.push_back(each.name);
  return names;
}

const Family& family(std::string_view name) {
  for (const Family& each : families())
    if (each.name == name) return each;
  fail("there is no family of models \"{}\"; Chapbook knows {}", printable(std::string(name)),
       fmt::join(family_names(), ", "));
}

const Family& family(const ConfigFile& config) {
  const auto type = config.json().find("model_type");
  check(type != config.json().end() && type->is_string(), "{}: no 'model_type'; is this a model's config?",
        config.path());
  try {
    return family(type->get<std::string>());
  } catch (const Error& error) {
    fail("{}: {}", config.path(), error.what());
  }
}

std::string family_unless_usual(const Settings& settings) {
  return settings.family == Settings{}.family ? "" : settings.family + ", ";
}

void take_tied_head(NamedTensors& tensors, std::string_view table, const std::string& path) {
  const auto named = [&](std::string_view end) {
    return std::ranges::find_if(tensors, [&](const auto& each) { return each.first.ends_with(end); });
  };
  const auto head = named("lm_head.weight"), tokens = named(table);
  if (head == tensors.end()) return;
  const auto numbers = [](const Tensor& x) { return x.to(DType::f32).to_vector<float>(); };
  const auto equal = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  const bool same =
      tokens == tensors.end() ||
      (head->second.shape() == tokens->second.shape() &&
       std::ranges::equal(numbers(head->second), numbers(tokens->second), equal));  // also if broken
  check(same,
        "{}: 'lm_head.weight' is not the table of tokens '{}', but the head of this model is that table",
        path, table);
  tensors.erase(head);
}

std::unique_ptr<LanguageModel> make_model(const Settings& settings, Backend& backend) {
  return family(settings.family).make(settings, backend);
}

ModelCosts model_costs(const Settings& settings, const Backend& backend) {
  return family(settings.family).costs(settings, backend);
}

}  // namespace chapbook
