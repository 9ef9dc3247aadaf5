#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

static int entries(const std::string& directory) {
  return static_cast<int>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

TEST_CASE("a file written is read back, and nothing is left beside it") {
  const TemporaryDirectory directory;
  const std::string bytes = std::string("one\0two\n", 8) + std::string(200'000, 'x');
  write_file(directory / "file", "old");
  write_file(directory / "file", bytes);
  CHECK(read_file(directory / "file") == bytes);
  CHECK(entries(directory.path) == 1);
}

TEST_CASE("what cannot be read says why") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH_AS(read_file(directory / "none"),
                       ("cannot read " + directory.path + "/none: No such file or directory").c_str(), Error);
  CHECK_THROWS_WITH_AS(read_file(directory.path),
                       ("cannot read " + directory.path + ": Is a directory").c_str(), Error);
  CHECK_THROWS_AS(write_file(directory / "none/file", "x"), Error);
  write_file(directory / "file", "x");
  CHECK_THROWS_AS(make_directory(directory / "file"), Error);
  CHECK_THROWS_AS(make_directory(directory / "file/below"), Error);
}

TEST_CASE("when the disk is full the old file stays, and nothing half-written") {
  const TemporaryDirectory directory;
  write_file(directory / "file", "old");
  // A limit on the size of files fails as a full disk does: in the middle of a write.
  rlimit before;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  CHECK_THROWS_AS(write_file(directory / "file", std::string(5000, 'x')), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  CHECK(read_file(directory / "file") == "old");
  CHECK(entries(directory.path) == 1);
}

TEST_CASE("a directory takes the place of another, or of none") {
  const TemporaryDirectory directory;
  const std::string fresh = directory / "fresh", last = directory / "last";
  for (const char* text : {"first", "second"}) {
    make_directory(fresh);
    write_file(fresh + "/file", text);
    replace_directory(fresh, last);
    CHECK(read_file(last + "/file") == text);
    CHECK(!fs::exists(fresh));
  }
  CHECK(entries(directory.path) == 1);
  CHECK_THROWS_AS(replace_directory(fresh, last), Error);
  CHECK(read_file(last + "/file") == "second");
}

TEST_CASE("a new directory goes again unless it is kept, and nothing else does") {
  const TemporaryDirectory directory;
  {
    NewDirectory made(directory / "a/b/c/");
    write_file(directory / "a/b/c/file", "x");
  }
  CHECK(entries(directory.path) == 0);
  {
    NewDirectory made(directory / "a/b/c");
    write_file(directory / "a/other", "x");
  }
  CHECK(fs::exists(directory / "a/other"));
  CHECK(!fs::exists(directory / "a/b"));
  { NewDirectory there_already(directory / "a"); }
  CHECK(fs::exists(directory / "a/other"));
  {
    NewDirectory made(directory / "kept");
    made.keep();
  }
  CHECK(fs::exists(directory / "kept"));
  CHECK_THROWS_AS(NewDirectory(directory / "a/other/below"), Error);
}
