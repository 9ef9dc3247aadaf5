// chapbook_docs: what `./chapbook docs` runs.
#include "docs/tool/command.h"

int main(int argc, char** argv) {
  CLI::App program("Keeps the book true.", "./chapbook");
  chapbook::add_docs(program);
  return chapbook::run_command_line(program, argc, argv);
}
