// The portable way beside each call of the operating system: this program is linked with portable_*.cpp in
// the place of the files they stand for, as a build with CHAPBOOK_PORTABLE=ON is.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <numeric>

#include "team/processes.h"
#include "tensor/cpu/processors.h"
#include "tensor/files.h"
#include "tensor/ops.h"
#include "tensor/os/system.h"
#include "tensor/safetensors.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

TEST_CASE("this is the portable way") {
  CHECK(os::name() == "not known to a portable build");
  CHECK(os::load("libm.so.6", "cos").reason == "libraries cannot be loaded by a portable build");
  CHECK(os::program().empty());
  CHECK(os::second_cache_bytes() + os::last_cache_bytes() == 0);
  CHECK(os::process_id() == os::process_id());
  CHECK(processors() >= 1);
}

TEST_CASE("memory is aligned, and what is computed in it is right") {
  for (const size_t bytes : {size_t{1}, size_t{100}, size_t{5} << 20}) {
    void* const block = os::allocate(bytes);
    REQUIRE(block);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % 64 == 0);
    os::release(block);
  }
  const Tensor x = Tensor::full({300, 400}, 2, DType::f32, backend("cpu"));
  CHECK(matmul(x, x.transpose(0, 1)).slice(0, 7, 8).slice(1, 9, 10).reshape({}).item() == 1600);
}

TEST_CASE("files and tensors are written, read and mapped") {
  const TemporaryDirectory directory;
  const std::string bytes = std::string("one\0two\r\n", 9) + std::string(200'000, 'x');
  write_file(directory / "file", "old");
  write_file(directory / "file", bytes);
  CHECK(read_file(directory / "file") == bytes);
  CHECK(std::distance(fs::directory_iterator(directory.path), fs::directory_iterator()) == 1);
  const os::Mapping mapping(directory / "file");
  CHECK(std::string(reinterpret_cast<const char*>(mapping.bytes().data()), mapping.bytes().size()) == bytes);
  CHECK_THROWS_WITH_AS(read_file(directory / "none"),
                       ("cannot read " + directory.path + "/none: No such file or directory").c_str(), Error);
  CHECK_THROWS_AS(os::Mapping(directory.path), Error);
  CHECK_THROWS_AS(write_file(directory / "none/file", "x"), Error);
  os::File::to_append(directory / "file").write("end", 3);
  CHECK(read_file(directory / "file") == bytes + "end");
  save_tensors(directory / "x.safetensors", {{"x", Tensor::full({3}, 7)}});
  CHECK(load_tensors(directory / "x.safetensors").tensors[0].second.to_vector<float>() ==
        std::vector<float>{7, 7, 7});
}

TEST_CASE("whatever write, sync or rename fails, the old directory is whole or the new one") {
  const TemporaryDirectory directory;
  const std::string path = directory / "run";
  const auto write = [&](const std::string& text) {
    write_directory(path, [&](const std::string& fresh) {
      write_file(fresh + "/a", text);
      write_file(fresh + "/b", text);
    });
  };
  write("old");
  int failed = 0;
  for (int64_t n = 1;; ++n) {
    os::faults() = {.fail_at = n};
    bool done = true;
    try {
      write("new");
    } catch (const Error&) {
      done = false;
    }
    os::faults() = {};
    const std::string whole = whole_directory(path);
    const std::string a = read_file(whole + "/a");
    CHECK(a == read_file(whole + "/b"));
    CHECK((a == "old" || a == "new"));
    if (done) break;
    ++failed;
    write("old");  // which finishes what was left, too
    CHECK(read_file(path + "/a") == "old");
  }
  CHECK(failed >= 8);  // two files, each written, synced and renamed, and the directory
  CHECK(read_file(path + "/a") == "new");
}

TEST_CASE("what needs the system is refused in one line") {
  CHECK_THROWS_WITH_AS(run_processes(2, [](const Place&) { return 0; }),
                       "--workers: several processes need Linux; this is a portable build", Error);
  CHECK_FALSE(Place::in_environment());
  CHECK(take_cores(alone(), 3) == 3);
}
