#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <string>

static const std::string root = CHAPBOOK_SOURCE_DIR;

// The exit code, and what was printed on both outputs.
static std::pair<int, std::string> shell(const std::string& command) {
  std::FILE* pipe = ::popen(("(" + command + ") 2>&1 </dev/null").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string output;
  for (int letter; (letter = std::fgetc(pipe)) != EOF;) output += static_cast<char>(letter);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

TEST_CASE("the scripts are sound bash") {
  for (const char* script : {"chapbook", ".ci/run", "tests/mutants/run"}) {
    CAPTURE(script);
    const auto [code, output] = shell("bash -n '" + root + "/" + script + "'");
    CHECK_MESSAGE(code == 0, output);
    if (shell("command -v shellcheck").first != 0) {
      MESSAGE("shellcheck is not installed, so the scripts were only parsed");
      continue;
    }
    const auto [check_code, findings] = shell("shellcheck '" + root + "/" + script + "'");
    CHECK_MESSAGE(check_code == 0, findings);
  }
}

TEST_CASE("the launcher's help needs no build, from any directory and through a link") {
  // A preset nobody has: the help must not configure it.
  const std::string environment = "cd / && CHAPBOOK_PRESET=none ";
  for (const char* flag : {"--help", "-h"}) {
    const auto [code, output] = shell(environment + "'" + root + "/chapbook' " + flag);
    CHECK(code == 0);
    CHECK(output.find("./chapbook train") != std::string::npos);
    CHECK(output.find("set -euo") == std::string::npos);
  }
  CHECK(shell("test -e '" + root + "/build/none'").first != 0);
}
