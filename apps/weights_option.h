// The option --weights of commands that open a model to ask it.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/run/model_directory.h"

namespace chapbook {

struct WeightsOption {
  std::string name = "f32";
  bool asked = false;

  // load_model with these weights; what was chosen is said in a line where it was asked for.
  Model load(const std::string& path) const;
};
std::shared_ptr<WeightsOption> add_weights_option(CLI::App& command);

}  // namespace chapbook
