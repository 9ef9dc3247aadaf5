// chapbook_docs: what `./chapbook docs` and the commands of exercises run.
#include <cstdio>

#include "docs/tool/command.h"
#include "tensor/check.h"

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines keep their order with those on stderr, in a pipe too
  CLI::App program("Keeps the book true.", "./chapbook");
  program.require_subcommand(1);
  chapbook::add_docs(program);
  chapbook::add_exercise(program);
  chapbook::add_check(program);
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
