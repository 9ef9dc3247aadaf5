// The commands that keep the book true, each one function in the file of its name that adds a CLI11
// subcommand.
#pragma once
#include <CLI/CLI.hpp>

namespace chapbook {

void add_docs(CLI::App& program);
void add_exercise(CLI::App& program);
void add_check(CLI::App& program);  // of exercises

}  // namespace chapbook
