// Runs the program itself.
#pragma once
#include "tests/support/shell.h"

namespace chapbook {

// `arguments` are the shell's words after the program's name; `before` may set variables or limits.
inline Outcome run_program(const std::string& arguments, const std::string& before = "") {
  return shell(before + " " CHAPBOOK_PROGRAM " " + arguments);
}

}  // namespace chapbook
