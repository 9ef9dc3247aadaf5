// The program without its process: main.cpp is what turns errors into a line and an exit code.
#pragma once

namespace chapbook {

void run_program(int argc, char** argv);  // throws whatever goes wrong

}  // namespace chapbook
