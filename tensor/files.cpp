#include "tensor/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "tensor/check.h"

namespace chapbook {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_errno(const char* what, const std::string& path) {
  fail("cannot {} {}: {}", what, path, std::strerror(errno));
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

std::string directory_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// False with errno set when not all could be written and synced.
bool write_and_sync(const std::string& path, std::string_view bytes) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (file.number < 0) return false;
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.number, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return ::fsync(file.number) == 0;
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) fail_errno("read", path);
  std::string bytes;
  struct stat status;
  if (::fstat(file.number, &status) == 0 && S_ISREG(status.st_mode))
    bytes.reserve(static_cast<size_t>(status.st_size));
  char block[1 << 16];
  for (;;) {
    const ssize_t count = ::read(file.number, block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno("read", path);
    if (count == 0) return bytes;
    bytes.append(block, static_cast<size_t>(count));
  }
}

void write_file(const std::string& path, std::string_view bytes) {
  const std::string fresh = fmt::format("{}.{}.tmp", path, ::getpid());
  if (!write_and_sync(fresh, bytes) || ::rename(fresh.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(fresh.c_str());
    errno = reason;
    fail_errno("write", path);
  }
  sync_path(directory_of(path));
}

void make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path)) error = std::make_error_code(std::errc::not_a_directory);
  check(!error, "cannot make the directory {}: {}", path, error.message());
}

NewDirectory::NewDirectory(const std::string& path) {
  std::error_code ignored;
  for (fs::path part = fs::absolute(path).lexically_normal(); !fs::exists(part, ignored);
       part = part.parent_path())
    if (part.has_filename()) made_.push_back(part.string());  // a name that ends in / has an empty last part
  make_directory(path);
}

NewDirectory::~NewDirectory() {
  std::error_code ignored;
  for (size_t i = 0; i < made_.size(); ++i) {
    if (i == 0)
      fs::remove_all(made_[i], ignored);
    else
      fs::remove(made_[i], ignored);  // only when empty
  }
}

void replace_directory(const std::string& fresh, const std::string& path) {
  sync_path(fresh);
  // Linux can exchange two names in one step; a plain rename cannot replace a directory that holds something.
  const bool replaces = fs::exists(path);
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(),
                  replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0)
    fail_errno("put in place", path);
  sync_path(directory_of(path));
  if (!replaces) return;
  std::error_code error;
  fs::remove_all(fresh, error);  // now the old one
  check(!error, "cannot remove {}: {}", fresh, error.message());
}

void sync_path(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0 || ::fsync(file.number) != 0) fail_errno("sync", path);
}

}  // namespace chapbook
