// The commands that keep the book true, each one function in the file of its name that adds a CLI11
// subcommand; and what is common to the programs they are in.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tensor/check.h"

namespace chapbook {

void add_docs(CLI::App& program);
void add_exercise(CLI::App& program);
void add_check(CLI::App& program);  // of exercises
void add_mine(CLI::App& program);   // trains with the reader's own pieces

// Runs the command; what is wrong is one line on stderr, and the exit code says so.
inline int run_command_line(CLI::App& program, int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines keep their order with those on stderr, in a pipe too
  program.require_subcommand(1);
  try {
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::RuntimeError& verdict) {
    return verdict.get_exit_code();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help
    fmt::print(stderr, "chapbook: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "chapbook: {}\n", error.what());
    return 2;
  }
}

}  // namespace chapbook
