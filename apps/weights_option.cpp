#include "apps/weights_option.h"

#include <fmt/core.h>

#include "apps/run/weights.h"

namespace chapbook {

Model WeightsOption::load(const std::string& path) const {
  Model model = load_model(path);
  const std::string chosen = choose_weights(*model.network, name);
  if (asked) fmt::print(stderr, "chapbook: weights in {}\n", chosen);
  return model;
}

std::shared_ptr<WeightsOption> add_weights_option(CLI::App& command) {
  auto option = std::make_shared<WeightsOption>();
  command
      .add_option_function<std::string>(
          "--weights", [option](const std::string& name) { option->name = name, option->asked = true; },
          "f32, bf16, int8: fewer bits are read faster, and say a little less; an x-ray wants f32")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}))
      ->default_str("f32");
  return option;
}

}  // namespace chapbook
