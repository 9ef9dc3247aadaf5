#include <doctest/doctest.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "tensor/files.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_directory.h"

using chapbook::shell;

static const std::string root = CHAPBOOK_SOURCE_DIR;

TEST_CASE("the scripts are sound bash") {
  for (const char* script : {"chapbook", ".ci/run", "tests/mutants/run"}) {
    CAPTURE(script);
    const auto [code, output] = shell("bash -n '" + root + "/" + script + "'");
    CHECK_MESSAGE(code == 0, output);
    if (shell("command -v shellcheck").code != 0) {
      MESSAGE("shellcheck is not installed, so the scripts were only parsed");
      continue;
    }
    const auto [check_code, findings] = shell("shellcheck '" + root + "/" + script + "'");
    CHECK_MESSAGE(check_code == 0, findings);
  }
}

// Else the list would only be found out where somebody has the hours to run it.
TEST_CASE("every mutant breaks a line that stands in its file") {
  std::ifstream list(root + "/tests/mutants/list");
  const std::string cases = chapbook::read_file(root + "/cases/op_cases.cpp");
  std::string line, name, file, program;
  int mutants = 0;
  while (std::getline(list, line)) {
    if (line.empty() || line[0] == '#' || line[0] == '+') continue;
    if (!line.starts_with("- ")) {
      std::istringstream(line) >> name >> file >> program;
      const size_t ops = line.find("ops=");
      std::istringstream rows(ops == line.npos ? "" : line.substr(ops + 4));
      for (std::string op; std::getline(rows, op, ',');)  // else no row is tried, and any mutant seems killed
        CHECK_MESSAGE(cases.find('"' + op) != std::string::npos, name, ": no row of ops begins with ", op);
      continue;
    }
    CHECK_MESSAGE(chapbook::read_file(root + "/" + file).find(line.substr(2)) != std::string::npos, name,
                  ": ", file, " has no ", line.substr(2));
    ++mutants;
  }
  CHECK(mutants >= 300);
}

TEST_CASE("every promise has its test") {
  std::istringstream promises(chapbook::read_file(root + "/tests/promises.md"));
  int held = 0;
  for (std::string line; std::getline(promises, line);) {
    const size_t file = line.find(" | tests/"), test = line.find(" | ", file + 3);
    if (file == std::string::npos || test == std::string::npos) continue;
    const std::string path = line.substr(file + 3, test - file - 3);
    const std::string name = line.substr(test + 3, line.size() - test - 5);  // up to " |"
    std::string source = chapbook::read_file(root + "/" + path);
    source = std::regex_replace(source, std::regex("\"\n *\""), "");  // a name on two lines
    CHECK_MESSAGE(source.find("TEST_CASE(\"" + name + "\")") != std::string::npos, path, " has no test \"",
                  name, "\"");
    ++held;
  }
  CHECK(held >= 50);
}

// A directory with the launcher alone, which thinks it is built, and a ninja that only says so.
static std::string launcher_alone(const chapbook::TemporaryDirectory& directory) {
  return "cd '" + directory.path + "' && sed 's/^interval=10/interval=1/' '" + root + "/chapbook' >chapbook" +
         R"(
set -e
mkdir -p build/release bin cmake tensor autograd nn optim data team apps
touch CMakeLists.txt CMakePresets.json
echo 'build chapbook: phony' >build/release/build.ninja
printf '#!/bin/sh\necho started' >build/release/chapbook
printf '#!/bin/sh\necho [1/3] a; sleep 3; echo [2/3] b; echo [3/3] c' >bin/ninja
chmod +x chapbook bin/ninja build/release/chapbook
export PATH=$PWD/bin:$PATH
)";
}

TEST_CASE("where nobody watches, the launcher says how far it is while it builds") {
  const chapbook::TemporaryDirectory directory;
  const auto [code, output] = shell(launcher_alone(directory) + "./chapbook plan");
  CHECK(code == 0);
  CHECK(output.starts_with("chapbook: building [1/3]\nchapbook: building [1/3]\n"));
  CHECK(output.ends_with("\nstarted\n"));
}

TEST_CASE("a program that is built starts while another command builds; one that must wait says for what") {
  const chapbook::TemporaryDirectory directory;
  const std::string start = launcher_alone(directory) + R"(
rm -f build/release/lock
{ flock 9; echo 'test_apps (process 7)' >build/release/lock; sleep 3; } 9>>build/release/lock &
until [ -s build/release/lock ]; do sleep 0.1; done
)";
  const auto [code, output] = shell(start + "./chapbook plan; flock -n build/release/lock true && echo free");
  CHECK(output == "started\n");  // and the other one still builds
  const auto [other_code, other] = shell(start +
                                         "mkdir -p docs/tool; touch team/README.md; sleep 0.1; cp "
                                         "build/release/chapbook build/release/chapbook_exercise; "
                                         "touch -d tomorrow team/README.md; ./chapbook exercises");
  CHECK(other == "started\n");
  const auto [late_code, late] = shell(start + "touch -d tomorrow team/new.cpp; ./chapbook plan");
  CHECK(late_code == 0);
  CHECK(late.starts_with("chapbook: waiting for another command, which builds test_apps (process 7)\n"));
  CHECK(late.ends_with("\nstarted\n"));
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
  CHECK(shell("test -e '" + root + "/build/none'").code != 0);
}
