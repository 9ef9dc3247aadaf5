// The options --mirror and --cache of commands that take a text by name or address.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/run/fetch.h"

namespace chapbook {

using FetchOptionsOf = std::shared_ptr<FetchOptions>;
FetchOptionsOf add_fetch_options(CLI::App& command);
// Throws where one of them is given, for a command that fetches nothing.
void check_nothing_fetched(const CLI::App& command);

}  // namespace chapbook
