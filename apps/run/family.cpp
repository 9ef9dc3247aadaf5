#include "apps/run/family.h"

#include <fmt/ranges.h>

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

std::unique_ptr<LanguageModel> make_model(const Settings& settings, Backend& backend) {
  return family(settings.family).make(settings, backend);
}

ModelCosts model_costs(const Settings& settings, const Backend& backend) {
  return family(settings.family).costs(settings, backend);
}

}  // namespace chapbook
