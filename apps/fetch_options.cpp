#include "apps/fetch_options.h"

#include <fmt/core.h>

#include <cstdlib>
#include <string_view>

#include "tensor/check.h"

namespace chapbook {

FetchOptionsOf add_fetch_options(CLI::App& command) {
  auto options = std::make_shared<FetchOptions>();
  if (const char* mirror = std::getenv("CHAPBOOK_MIRROR")) options->mirror = mirror;
  command
      .add_option("--mirror", options->mirror,
                  "take files from here, by their names: an address, or a directory; also CHAPBOOK_MIRROR")
      ->type_name("WHERE");
  command.add_option("--cache", options->directory, "where what is fetched is kept")
      ->type_name("DIR")
      ->capture_default_str();
  options->say = [](std::string_view line) { fmt::print(stderr, "{}\n", line); };
  return options;
}

void check_nothing_fetched(const CLI::App& command) {
  for (const char* name : {"--mirror", "--cache"})
    check(command.count(name) == 0,
          "{} is for a text by its name or address, and nothing is fetched; leave it out", name);
}

}  // namespace chapbook
