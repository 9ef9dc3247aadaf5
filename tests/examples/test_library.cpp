// Chapbook in other projects: installed and found, and as a part of them (tests/examples/consumer).
#include <doctest/doctest.h>

#include <sstream>

#include "tests/support/shell.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static const std::string consumer = CHAPBOOK_SOURCE_DIR "/tests/examples/consumer";

TEST_CASE("another project finds the installed libraries, builds with them, and runs") {
  const TemporaryDirectory directory;
  const auto [code, output] = shell(
      "cd '" + directory.path +
      "' && cmake --install " CHAPBOOK_BINARY_DIR
      " --prefix there --component library >install.log && cmake -G Ninja -S " +
      consumer +
      " -B build -DCMAKE_PREFIX_PATH=$PWD/there >cmake.log && ninja -C build >ninja.log && build/consumer");
  CHECK_MESSAGE(code == 0, output);
  CHECK(output == "21 parameters, 1 step, plots\n");
}

TEST_CASE("as a part of another project it builds its libraries and nothing else") {
  const TemporaryDirectory directory;
  const auto [code, output] =
      shell("cd '" + directory.path + "' && cmake -G Ninja -S " + consumer +
            " -B build -DCHAPBOOK_SOURCE=" CHAPBOOK_SOURCE_DIR
            " >cmake.log && ninja -C build -t targets all && ninja -C build -t commands consumer");
  CHECK_MESSAGE(code == 0, output);
  CHECK(output.find("consumer: CXX_EXECUTABLE_LINKER") != std::string::npos);
  CHECK(output.find("chapbook_nn") != std::string::npos);
  for (const std::string other :
       {"/tests/tensor", "test_tensor", "bench_chapbook", "examples_", "apps/main.cpp", "chapbook_docs"})
    CHECK_MESSAGE(output.find(other) == std::string::npos, other);
  // And the host's own file is compiled as the host says: without our warnings, processor, optimisation or
  // definitions.
  std::istringstream lines(output);
  std::string command, line;
  while (std::getline(lines, line))
    if (line.find(" -c " + consumer + "/main.cpp") != std::string::npos) command = line;
  REQUIRE(!command.empty());
  for (const std::string ours : {" -O", " -m", " -W", " -fno-", " -DCHAPBOOK"})
    CHECK_MESSAGE(command.find(ours) == std::string::npos, command);
}
