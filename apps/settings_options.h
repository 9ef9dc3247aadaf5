// The options of commands that take settings.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "apps/run/settings.h"

namespace chapbook {

// Adds --preset, --config and --set to the command, and the table to its --help.
std::shared_ptr<SettingsOptions> add_settings_options(CLI::App& command);

}  // namespace chapbook
