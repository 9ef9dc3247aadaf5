// The program: runs the command, and turns whatever goes wrong into one line and exit code 2.
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <new>

#include "apps/program.h"

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF,
               0);  // so that lines keep their order with those on stderr, in a pipe too
  try {
    chapbook::run_program(argc, argv);
    return 0;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "chapbook: out of memory; a smaller batch, context or model needs less\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "chapbook: {}\n", error.what());
  }
  return 2;
}
