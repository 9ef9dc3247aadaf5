#include "apps/listen_options.h"

#include <fmt/format.h>

#include "apps/command.h"

namespace chapbook {

std::string ListenOptions::address(int bound) const {
  const bool here = host == "127.0.0.1" || for_others();
  return fmt::format("http://{}:{}", here ? "localhost" : host, bound);
}

std::shared_ptr<ListenOptions> add_listen_options(CLI::App& command, CLI::Option* page) {
  auto options = std::make_shared<ListenOptions>();
  CLI::Option* const all[] = {
      command
          .add_option("--host", options->host, "the address to listen on; 0.0.0.0: also for other machines")
          ->capture_default_str(),
      command.add_option("--port", options->port, "0: any that is free")
          ->check(whole_number(0, 65535))
          ->capture_default_str(),
      command.add_option("--name", options->names,
                         "a name this machine is called by, beside localhost and addresses")};
  if (page)
    for (CLI::Option* option : all) option->needs(page);
  return options;
}

}  // namespace chapbook
