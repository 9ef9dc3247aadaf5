#include "apps/settings_options.h"

namespace chapbook {

std::shared_ptr<SettingsOptions> add_settings_options(CLI::App& command) {
  auto options = std::make_shared<SettingsOptions>();
  command.add_option("--preset", options->preset, "settings to start from")->capture_default_str();
  command.add_option("--config", options->config, "JSON file of settings")->type_name("FILE");
  command.add_option("--set", options->assignments, "one setting; may be given many times")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command.add_option("--precision", options->precision, "f32, bf16 or f16: the setting of that name");
  command.footer(
      [before = command.get_footer()] { return before + (before.empty() ? "" : "\n\n") + settings_help(); });
  return options;
}

}  // namespace chapbook
