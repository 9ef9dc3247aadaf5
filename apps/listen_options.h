// The options --host, --port and --name of commands that have a page.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

namespace chapbook {

struct ListenOptions {
  std::string host = "127.0.0.1";
  int port = 8080;
  std::vector<std::string> names;

  std::string address(int bound) const;  // what to type into a browser here; `bound`: the port it became
  bool for_others() const { return host == "0.0.0.0" || host == "::"; }
};
// With `page`, they are for that flag only.
std::shared_ptr<ListenOptions> add_listen_options(CLI::App& command, CLI::Option* page = nullptr);

}  // namespace chapbook
