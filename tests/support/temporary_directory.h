// A directory of its own for each test, removed at its end.
#pragma once
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace chapbook {

struct TemporaryDirectory {
  std::string path;

  explicit TemporaryDirectory(const std::filesystem::path& place = std::filesystem::temp_directory_path())
      : path(place / "chapbook-XXXXXX") {
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot make a temporary directory");
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }
};

}  // namespace chapbook
