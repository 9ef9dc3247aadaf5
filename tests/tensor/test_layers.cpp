// The order of the folders, which is the order of reading: no file includes one of a later folder, and no
// file is too long to read.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

// Folders in order; inside tensor, the parts of it that stand on one another.
static const std::vector<std::string> layers = {"tensor/",      "tensor/reference/",
                                                "tensor/cpu/",  "tensor/simt/",
                                                "tensor/cuda/", "autograd/",
                                                "cases/",       "nn/",
                                                "optim/",       "data/",
                                                "team/",        "apps/report/",
                                                "apps/run/",    "apps/serve/",
                                                "apps/",        "examples/"};

// The layer a path belongs to: the longest name it begins with; -1 where there is none.
static int layer_of(const std::string& path) {
  int best = -1;
  for (size_t i = 0; i < layers.size(); ++i)
    if (path.starts_with(layers[i]) && (best < 0 || layers[i].size() > layers[best].size()))
      best = static_cast<int>(i);
  return best;
}

static bool is_source(const fs::path& path) {
  const std::vector<std::string> kinds = {".h", ".cpp", ".cu", ".cuh", ".inc"};
  return std::find(kinds.begin(), kinds.end(), path.extension().string()) != kinds.end();
}

// What is wrong with the includes of one file.
static std::vector<std::string> wrong_includes(const std::string& file, std::istream& source) {
  std::vector<std::string> wrong;
  // Engines know no command line: only the files of commands and of the program itself include CLI11.
  const bool of_a_command = file.starts_with("apps/") && file.find('/', 5) == std::string::npos;
  for (std::string line; std::getline(source, line);) {
    if (line.starts_with("#include <CLI/") && !of_a_command) wrong.push_back(file + " includes CLI11");
    if (!line.starts_with("#include \"")) continue;
    const std::string included = line.substr(10, line.rfind('"') - 10);
    if (layer_of(included) < 0)
      wrong.push_back(file + " includes " + included + ", which is in no folder: includes begin at the root");
    if (layer_of(included) > layer_of(file))
      wrong.push_back(file + " includes " + included + " of a later folder");
  }
  return wrong;
}

TEST_CASE("layers: no file includes a later folder, none is longer than 600 lines") {
  const fs::path root = CHAPBOOK_SOURCE_DIR;
  int files = 0;
  for (const std::string& layer : layers) {
    if (layer.find('/') + 1 != layer.size() || !fs::exists(root / layer)) continue;  // a room of one that is
    for (const auto& entry : fs::recursive_directory_iterator(root / layer)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      const std::string file = fs::relative(entry.path(), root).generic_string();
      // The one place that knows every backend; and the backend that runs the later folder's kernels on the
      // machine which gives them their words.
      if (file != "tensor/backend.cpp" && !file.starts_with("tensor/simt/simt_backend.")) {
        std::ifstream source(entry.path());
        for (const std::string& text : wrong_includes(file, source)) FAIL_CHECK(text);
      }
      std::ifstream source(entry.path());
      const auto lines = std::count(std::istreambuf_iterator<char>(source), {}, '\n');
      CHECK_MESSAGE(lines <= 600, file, " has ", lines, " lines");
      ++files;
    }
  }
  CHECK(files > 30);
  // A folder with sources that is not in the list would not be looked at.
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name[0] == '.' || name == "build" || name == "tests" || name == "bench" ||
        name == "docs")
      continue;
    const auto sources =
        std::count_if(fs::directory_iterator(entry), {}, [](const auto& f) { return is_source(f.path()); });
    CHECK_MESSAGE((sources == 0 || layer_of(name + "/") >= 0), name, " has no place in the order of folders");
  }
}

// Headers that are C++'s, the compiler's, or a library's that is there on every system.
static bool is_portable(const std::string& header) {
  static const std::vector<std::string> libraries = {
      "fmt/", "nlohmann/", "CLI/", "curl/", "httplib.", "utf8proc.h", "cblas.h", "immintrin.h", "cpuid.h"};
  const auto begins = [&](const std::string& name) { return header.starts_with(name); };
  return std::any_of(libraries.begin(), libraries.end(), begins) || header.find_first_of("./") == header.npos;
}

TEST_CASE("what the operating system is asked for stands in tensor/os, with a portable way beside it") {
  const fs::path root = CHAPBOOK_SOURCE_DIR;
  // What has no portable way: teams of processes have one that refuses; MPI, NCCL, CUDA and the machine for
  // tests are left out where they are not.
  const std::vector<std::string> others = {"team/processes.cpp", "team/mpi/", "team/nccl/", "tensor/cuda/",
                                           "tensor/simt/"};
  int asked = 0;
  for (const char* folder :
       {"tensor", "autograd", "cases", "nn", "optim", "data", "team", "apps", "examples"})
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      const std::string file = fs::relative(entry.path(), root).generic_string();
      std::ifstream source(entry.path());
      bool portable = true;
      for (std::string line; std::getline(source, line);) {
        if (line.starts_with("#include <") && !is_portable(line.substr(10, line.find('>') - 10)))
          portable = false;
        for (const char* word : {"ofstream", "create_director", "std::rename"})  // see tensor/files.h
          CHECK_MESSAGE((line.find(word) == line.npos || file.starts_with("tensor/os/")), file,
                        " writes by itself");
      }
      const bool known = std::any_of(others.begin(), others.end(),
                                     [&](const std::string& other) { return file.starts_with(other); });
      CHECK_MESSAGE((portable || known || file.starts_with("tensor/os/")), file,
                    " asks the operating system");
      if (!file.starts_with("tensor/os/") || portable) continue;
      ++asked;
      CHECK(fs::exists(entry.path().parent_path() / ("portable_" + entry.path().filename().string())));
    }
  CHECK(asked == 2);
  CHECK_FALSE(is_portable("unistd.h"));
  CHECK_FALSE(is_portable("sys/mman.h"));
  CHECK(is_portable("vector"));
}

TEST_CASE("layers: the rule itself can fail") {
  const auto wrong = [](const std::string& file, const std::string& text) {
    std::istringstream source(text);
    return wrong_includes(file, source).size();
  };
  CHECK(wrong("tensor/ops.cpp", "#include \"autograd/ops.h\"\n") == 1);
  CHECK(wrong("tensor/ops.cpp", "#include \"tensor/cpu/loop.h\"\n") == 1);
  CHECK(wrong("tensor/reference/rows.cpp", "#include \"tensor/cpu/loop.h\"\n") == 1);
  CHECK(wrong("nn/gpt.h", "#include \"gpt.h\"\n") == 1);
  CHECK(wrong("nn/gpt.h", "#include <vector>\n#include \"nn/linear.h\"\n#include \"tensor/tensor.h\"\n") ==
        0);
  CHECK(wrong("apps/report/plot.cpp", "#include \"apps/run/metrics.h\"\n") == 1);
  CHECK(wrong("apps/run/run.h", "#include \"apps/report/plot.h\"\n") == 0);
  CHECK(wrong("apps/run/run.h", "#include \"apps/serve/engine.h\"\n") == 1);
  CHECK(wrong("apps/run/settings.h", "#include <CLI/CLI.hpp>\n") == 1);
  CHECK(wrong("apps/train.cpp", "#include <CLI/CLI.hpp>\n") == 0);
  CHECK(wrong("tensor/cpu/norm.cpp", "#include \"tensor/reference/numbers.h\"\n") == 0);
}
