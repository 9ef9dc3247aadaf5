// The options --mirror and --cache of commands that take a text by name or address.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/run/fetch.h"

namespace chapbook {

using FetchOptionsOf = std::shared_ptr<FetchOptions>;
FetchOptionsOf add_fetch_options(CLI::App& command);

}  // namespace chapbook
