// Backends that lie in modules: what is said when there is none.
#include "tensor/backend_module.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

namespace chapbook {

TEST_CASE("a module that is not there, is no library or is another one says so") {
  CHECK(open_module("/nowhere/libchapbook_cuda.so").absent == "not built (see tensor/cuda/README.md)");
  const auto file = std::filesystem::temp_directory_path() / "chapbook_no_library.so";
  std::ofstream(file) << "text";
  const BackendModule text = open_module(file);
  CHECK(!text.backend);
  CHECK(text.absent.find("chapbook_no_library.so") != std::string::npos);
  std::filesystem::remove(file);
}

TEST_CASE("cuda is there, or backend() and backend_names() agree that it is not, and why") {
  const auto names = backend_names();
  const bool listed = std::find(names.begin(), names.end(), "cuda") != names.end();
  const BackendModule& cuda = cuda_module();
  MESSAGE("cuda: ", cuda.backend ? cuda.backend->description() : "absent: " + cuda.absent);
  CHECK(listed == (cuda.backend != nullptr));
  if (cuda.backend) {
    CHECK(names.front() == "cuda");
    CHECK(&backend("cuda") == cuda.backend);
  } else {
    CHECK(cuda.absent != "");
    const std::string start = "no backend 'cuda' here (" + cuda.absent + "); there are: cpu, reference";
    try {
      backend("cuda");
      FAIL_CHECK("there was a backend");
    } catch (const Error& error) {
      CHECK(std::string(error.what()).rfind(start, 0) == 0);
    }
  }
}

}  // namespace chapbook
