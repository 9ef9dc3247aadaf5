#include "docs/tool/shell.h"

#include <sys/wait.h>

#include <cstdio>

#include "tensor/check.h"

namespace chapbook {

Ran run_shell(const std::string& command) {
  std::FILE* pipe = ::popen(("exec 2>&1 </dev/null; " + command).c_str(), "r");
  check(pipe != nullptr, "cannot start a shell for: {}", command);
  std::string output;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), output};
}

std::string quoted(const std::string& word) {
  std::string text = "'";
  for (char letter : word) text += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return text + "'";
}

}  // namespace chapbook
