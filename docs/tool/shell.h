// Runs a command line and keeps what it prints.
#pragma once
#include <filesystem>
#include <string>

namespace chapbook {

struct Ran {
  int code;            // exit code; 128 and the signal's number where one ended it
  std::string output;  // of both outputs
};

// `command` is the shell's. Throws where no shell can be started.
Ran run_shell(const std::string& command);

// One word for the shell, whatever is in it.
std::string quoted(const std::string& word);

}  // namespace chapbook
