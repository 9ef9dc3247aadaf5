#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

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
  CHECK_THROWS_WITH_AS(write_file(directory / "file", std::string(5000, 'x')),
                       doctest::Contains(": File too large"), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  CHECK(read_file(directory / "file") == "old");
  CHECK(entries(directory.path) == 1);
}

// Two files that belong together.
static void fill(const std::string& directory, const std::string& text) {
  write_file(directory + "/a", text + " a");
  write_file(directory + "/b", text + " b");
}
static bool write_both(const std::string& path, const std::string& text) {
  return write_directory(path, [&](const std::string& fresh) { fill(fresh, text); });
}
static std::string text_of(const std::string& directory) {
  const std::string a = read_file(directory + "/a"), b = read_file(directory + "/b");
  CHECK(a.substr(0, a.size() - 1) == b.substr(0, b.size() - 1));
  CHECK(entries(directory) == 2);
  return a.substr(0, a.size() - 2);
}

// What goes wrong while this lives.
struct Injected {
  explicit Injected(const os::Faults& faults) { os::faults() = faults; }
  ~Injected() { os::faults() = {}; }
};

// Without an exchange, or with one.
static const int refusals[] = {0, EINVAL, ENOSYS, EXDEV};

TEST_CASE("a directory takes the place of another, or of none, whatever the file system can") {
  for (const int refusal : refusals) {
    CAPTURE(refusal);
    const Injected injected({.refuse_exchange = refusal});
    const TemporaryDirectory directory;
    const std::string last = directory / "last";
    for (const char* text : {"first", "second", "third"}) {
      write_both(last, text);
      CHECK(text_of(last) == text);
      CHECK(entries(directory.path) == 1);
    }
    const auto give_up = [](const std::string& fresh) {
      write_file(fresh + "/a", "x");
      throw Error("no more");
    };
    CHECK_THROWS_AS(write_directory(last, give_up), Error);
    CHECK(text_of(last) == "third");
    CHECK(entries(directory.path) == 1);
    CHECK(try_replacing(directory / "it") == (refusal == 0));
    CHECK(entries(directory.path) == 1);
  }
  CHECK_THROWS_AS(try_replacing("/proc/it"), Error);
}

TEST_CASE("whichever write, sync or rename fails, the old file or directory is whole, or the new one") {
  for (const int refusal : refusals) {
    int64_t faults = 0;
    bool at_once = false;
    for (int64_t n = 1;; ++n) {
      CAPTURE(n);
      const TemporaryDirectory directory;
      const std::string last = directory / "last";
      write_both(last, "old");
      bool failed = false;
      {
        const Injected injected({.fail_at = n, .refuse_exchange = refusal});
        try {
          at_once = write_both(last, "new");
        } catch (const Error& error) {
          failed = true;
          CHECK(std::string(error.what()).ends_with(": Input/output error"));
        }
      }
      const std::string left = text_of(whole_directory(last));
      CHECK((left == "new" || (failed && left == "old")));
      write_both(last, "newer");
      CHECK(text_of(last) == "newer");
      CHECK(entries(directory.path) == 1);
      if (!failed) break;
      ++faults;
    }
    // Of each of two files a write, a rename, and the syncs of its bytes and of its name. Of the directory
    // three syncs (that it is there; its names; its new place) and the exchange; or else two renames, and a
    // sync more.
    CHECK(faults == (at_once ? 12 : 15));
  }
}

TEST_CASE("killed at any write, sync or rename, the old directory is whole, or the new one") {
  for (const int refusal : refusals) {
    for (int64_t n = 1;; ++n) {
      CAPTURE(n);
      const TemporaryDirectory directory;
      const std::string last = directory / "last";
      write_both(last, "old");
      const pid_t child = ::fork();
      if (child == 0) {
        os::faults() = {.kill_at = n, .refuse_exchange = refusal};
        write_both(last, "new");
        ::_exit(0);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      const std::string left = text_of(whole_directory(last));
      const bool killed = WIFEXITED(status) && WEXITSTATUS(status) == 137;
      CHECK((left == "new" || (killed && left == "old")));
      write_both(last, "newer");
      CHECK(text_of(last) == "newer");
      CHECK(entries(directory.path) == 1);
      if (!killed) break;
    }
  }
}

TEST_CASE("killed while the old directory is removed, the new one is taken") {
  const TemporaryDirectory directory;
  const std::string last = directory / "last";
  make_directory(last);
  write_file(last + "/a", "old a");  // b is gone
  make_directory(last + ".next");
  fill(last + ".next", "new");
  CHECK(text_of(whole_directory(last)) == "new");
  write_both(last, "newer");
  CHECK(text_of(last) == "newer");
  CHECK(entries(directory.path) == 1);
}

TEST_CASE("a directory that is removed is gone, with all that kills have left of it") {
  const TemporaryDirectory directory;
  const std::string last = directory / "last";
  for (const std::vector<std::string>& ends :
       {std::vector<std::string>{""}, {".new"}, {".next"}, {"", ".next"}, {"", ".new"}, {}}) {
    for (const std::string& end : ends) {
      make_directory(last + end);
      fill(last + end, "x");
    }
    remove_directory(last);
    CHECK(entries(directory.path) == 0);
  }
}

TEST_CASE("devices are written, not replaced; what a link leads to is") {
  const TemporaryDirectory directory;
  write_file("/dev/null", "x");
  CHECK(fs::is_character_file("/dev/null"));
  write_file(directory / "file", "old");
  fs::create_symlink(directory / "file", directory / "link");
  write_file(directory / "link", "new");
  CHECK(fs::is_symlink(directory / "link"));
  CHECK(read_file(directory / "file") == "new");
}

TEST_CASE("a file has one writer at a time, and one that was left lying is no writer") {
  const TemporaryDirectory directory;
  const std::string path = directory / "file";
  {
    NewFile file(path);
    file.write("one", 3);
    CHECK_THROWS_WITH_AS(write_file(path, "two"),
                         ("cannot write " + path + ": another process is writing it").c_str(), Error);
    file.close();
  }
  CHECK(read_file(path) == "one");
  std::ofstream(path + ".part") << "what a killed writer left, longer than what comes";
  write_file(path, "two");
  CHECK(read_file(path) == "two");
  CHECK(entries(directory.path) == 1);
}

TEST_CASE("a lock names its holder, and goes with it") {
  const TemporaryDirectory directory;
  const std::string path = directory / "lock";
  for (int i = 0; i < 2; ++i) {
    const os::File held = os::File::to_lock(path, "'run'");
    std::string message;
    try {
      os::File::to_lock(path, "'run'");
    } catch (const Error& error) {
      message = error.what();
    }
    CHECK(message.starts_with(fmt::format("'run' is in use by process {} on ", ::getpid())));
  }
  CHECK_FALSE(fs::exists(path));
  // With a lock on what is no longer there nobody is kept out, and no other's is taken away.
  std::optional<os::File> before = os::File::to_lock(path, "x");
  fs::remove(path);
  const os::File after = os::File::to_lock(path, "x");
  before.reset();
  CHECK(fs::exists(path));
  write_file(directory / "of a user", "notes");
  CHECK_THROWS_WITH_AS(os::File::to_lock(directory / "of a user", "x"),
                       doctest::Contains("is needed as a lock, but is a file with something else"), Error);
  CHECK(read_file(directory / "of a user") == "notes");
}

TEST_CASE("who is refused a directory's lock leaves it to the other, even where it was faster to make it") {
  const TemporaryDirectory directory;
  const std::string path = directory / "made";
  {
    NewDirectory made(path);
    const os::File other = os::File::to_lock(path + "/lock", "x");
    CHECK_THROWS_WITH_AS(made.lock("'made'"), doctest::Contains("'made' is in use by process"), Error);
  }
  CHECK(fs::exists(path));
  {
    NewDirectory made(path + "/inner");
    const os::File lock = made.lock("'inner'");
    write_file(path + "/inner/file", "x");
  }
  CHECK(entries(path) == 0);
}

// Who opened a file just before its holder took the name away must not take that lock for one on the name.
TEST_CASE("a lock is on what has the name, however often that is taken away and made again") {
  const TemporaryDirectory directory;
  const std::string path = directory / "lock";
  std::atomic<int> locks = 0, holders = 0, shared = 0, of_no_name = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      while (locks < 20'000) try {
          const os::File held = os::File::to_lock(path, "x");
          if (++holders != 1) ++shared;
          --holders;
          // Every second one leaves the name to the lock.
          if (++locks % 2 && !fs::remove(path)) ++of_no_name;
        } catch (const Error&) {
        }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(of_no_name == 0);
  CHECK(shared == 0);
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a mapped file that is cut short ends the program with one line, not with SIGBUS") {
  const TemporaryDirectory directory;
  const std::string path = directory / "file", said = directory / "said";
  write_file(path, std::string(100'000, 'x'));
  const pid_t child = ::fork();
  if (child == 0) {
    const int descriptor = ::open(said.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(descriptor, 2);
    const os::Mapping first(path), mapping(path);
    fs::resize_file(path, 10);
    int sum = 0;
    for (const std::byte byte : mapping.bytes()) sum += static_cast<int>(byte);
    ::_exit(sum == 0 ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 2);
  CHECK(read_file(said) == "chapbook: " + path + " was cut short while it was read\n");
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

TEST_CASE("a directory is made by one of those who want it") {
  const TemporaryDirectory directory;
  const NewDirectory first(directory / "a/b");
  {
    const NewDirectory second(directory / "a/b");
    CHECK(first.made());
    CHECK(!second.made());
  }
  CHECK(fs::exists(directory / "a/b"));
}
