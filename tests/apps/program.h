// Runs the program itself, as its users do.
#pragma once
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace chapbook {

struct Outcome {
  int code;            // exit code, or -1 for a signal
  std::string output;  // both outputs
};

// `arguments` are the shell's words after the program's name; `before` may set variables or limits.
inline Outcome run_program(const std::string& arguments, const std::string& before = "") {
  const std::string command = "(" + before + " " CHAPBOOK_PROGRAM " " + arguments + ") 2>&1 </dev/null";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) return {-1, "cannot start a shell"};
  std::string output;
  for (int letter; (letter = std::fgetc(pipe)) != EOF;) output += static_cast<char>(letter);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

}  // namespace chapbook
