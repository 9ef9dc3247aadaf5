// chapbook_exercise: what the commands of exercises run, and `./chapbook train --mine`.
#include "docs/tool/command.h"

int main(int argc, char** argv) {
  CLI::App program("The exercises of the book.", "./chapbook");
  chapbook::add_exercise(program);
  chapbook::add_check(program);
  chapbook::add_mine(program);
  return chapbook::run_command_line(program, argc, argv);
}
