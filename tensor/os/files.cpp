#include "tensor/os/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <system_error>

#include "tensor/check.h"

namespace chapbook::os {
namespace {

namespace fs = std::filesystem;

// Errors are made from errno, and errno is read before anything else may set it: the call comes first, then
// this, never both in the arguments of one function.
[[noreturn]] void fail_errno(const char* what, const std::string& path) {
  const int reason = errno;
  fail("cannot {} {}: {}", what, path, std::strerror(reason));
}

// ---- Files

int open_or_throw(const std::string& path, int flags, const char* what) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (descriptor < 0) fail_errno(what, path);
  return descriptor;
}

struct stat status_of(int descriptor, const std::string& name) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_errno("read", name);
  return status;
}

// Whether the name is that of the open file: another process may have renamed or removed it.
bool is_name_of(const std::string& path, int descriptor) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

// Opens a file that only this process may have open so; -1 while another one does. File systems without locks
// let everybody.
int open_locked(const std::string& path, const std::string& name) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) fail_errno("write", name);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor);
      return -1;
    }
    if (is_name_of(path, descriptor)) return descriptor;  // what counts is the name
    ::close(descriptor);
  }
}

}  // namespace

struct File::Open {
  int descriptor;  // -1 for a file that another process has locked
  std::string name;
  bool lock = false;
};

File::File(Open open) : open_(std::make_unique<Open>(std::move(open))) {}
File::File(File&& other) noexcept = default;
File::~File() {
  if (!open_ || open_->descriptor < 0) return;
  if (open_->lock && is_name_of(open_->name, open_->descriptor)) ::unlink(open_->name.c_str());
  ::close(open_->descriptor);
}

File File::to_read(const std::string& path) {
  return File(Open{open_or_throw(path, O_RDONLY, "read"), path});
}

File File::to_read_regular(const std::string& path) {
  File file(Open{open_or_throw(path, O_RDONLY | O_NONBLOCK, "read"), path});
  check(file.regular(), "cannot read {}: it is not a file", path);
  return file;
}

File File::to_append(const std::string& path) {
  return File(Open{open_or_throw(path, O_WRONLY | O_CREAT | O_APPEND, "write"), path});
}

File File::to_write(const std::string& path, const std::string& name) {
  File file = to_go_on(path, name);
  if (file.regular()) file.empty();
  return file;
}

File File::to_go_on(const std::string& path, const std::string& name) {
  File file(Open{open_locked(path, name), name});
  check(file.open_->descriptor >= 0, "cannot write {}: another process is writing it", name);
  ::lseek(file.open_->descriptor, 0, SEEK_END);  // pipes and devices have none
  return file;
}

File File::to_lock(const std::string& path, const std::string& name) {
  File file(Open{open_locked(path, path), path});
  for (; file.open_->descriptor < 0; file.open_->descriptor = open_locked(path, path)) {
    const int there = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (there < 0 && errno == ENOENT) continue;  // it has just gone with its holder
    if (there < 0) fail_errno("read", path);
    File other(Open{there, path});
    std::string holder(200, '\0');
    holder.resize(other.read(holder.data(), holder.size()));
    holder.resize(std::min(holder.find('\n'), holder.size()));
    throw InUse(fmt::format("{} is in use by {}", name, holder.empty() ? "another process" : holder));
  }
  const std::string_view begin = "process ";
  std::string there(begin.size(), '\0');
  there.resize(file.read(there.data(), there.size()));
  check(there.empty() || there == begin, "{} is needed as a lock, but is a file with something else", path);
  char host[256] = "an unnamed machine";
  ::gethostname(host, sizeof host - 1);
  const std::string holder = fmt::format("process {} on {}\n", ::getpid(), host);
  file.open_->lock = true;
  file.empty();
  file.write(holder.data(), holder.size());
  return file;
}

bool File::regular() const { return S_ISREG(status_of(open_->descriptor, open_->name).st_mode); }
uint64_t File::size() const {
  return static_cast<uint64_t>(status_of(open_->descriptor, open_->name).st_size);
}

size_t File::read(void* to, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t count = ::read(open_->descriptor, static_cast<char*>(to) + done, bytes - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno("read", open_->name);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

void File::write(const void* from, size_t bytes) {
  for (const char* at = static_cast<const char*>(from); bytes > 0;) {
    const ssize_t count = faults().allow(&Faults::writes) ? ::write(open_->descriptor, at, bytes) : -1;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno("write", open_->name);
    at += count;
    bytes -= static_cast<size_t>(count);
  }
}

void File::empty() {
  if (::ftruncate(open_->descriptor, 0) != 0 || ::lseek(open_->descriptor, 0, SEEK_SET) != 0)
    fail_errno("write", open_->name);
}

void File::sync() {
  if (!regular()) return;  // pipes and devices cannot
  if (!faults().allow(&Faults::syncs) || ::fsync(open_->descriptor) != 0) fail_errno("write", open_->name);
}

// ---- Names

void sync_directory(const std::string& path) {
  const int directory = open_or_throw(path, O_RDONLY, "sync");
  const bool synced = faults().allow(&Faults::syncs) && ::fsync(directory) == 0;
  const int reason = errno;
  ::close(directory);
  errno = reason;
  if (!synced && errno != EINVAL && errno != ENOTSUP) fail_errno("sync", path);
}

void rename(const std::string& from, const std::string& to) {
  if (!faults().allow(&Faults::renames) || ::rename(from.c_str(), to.c_str()) != 0)
    fail_errno("put in place", to);
}

// NFS, WSL's view of Windows' disks, some FUSE and overlay file systems refuse, and only Linux has the call.
bool exchange(const std::string& a, const std::string& b) {
  if (!faults().allow(&Faults::renames)) fail_errno("put in place", b);
#ifdef RENAME_EXCHANGE
  if (faults().refuse_exchange)
    errno = faults().refuse_exchange;
  else if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0)
    return true;
  if (errno != EINVAL && errno != ENOSYS && errno != EXDEV && errno != ENOTSUP) fail_errno("put in place", b);
#endif
  return false;
}

bool make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return true;
  const int reason = errno;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return false;
  errno = reason == EEXIST ? ENOTDIR : reason;
  fail_errno("make the directory", path);
}

void remove_all(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  check(!error, "cannot remove {}: {}", path, error.message());
}

// ---- Mapped files

namespace {

// What there is to say about an address that is mapped. Entries are never freed, as the signal may come at
// any time, but used again.
struct Mapped {
  std::atomic<const char*> begin{nullptr};
  size_t size = 0;
  char line[1024] = "";
  Mapped* next = nullptr;
};
std::atomic<Mapped*> all_mapped{nullptr};
std::mutex mapped_mutex;
struct sigaction action_before;

void on_bus_error(int, siginfo_t* info, void*) {
  const char* address = static_cast<const char*>(info->si_addr);
  for (const Mapped* at = all_mapped; at; at = at->next) {
    const char* begin = at->begin;
    if (!begin || address < begin || address >= begin + at->size) continue;
    if (::isatty(2)) [[maybe_unused]]
      const ssize_t end_of_progress = ::write(2, "\n", 1);
    [[maybe_unused]] const ssize_t written = ::write(2, at->line, std::strlen(at->line));
    ::_exit(2);
  }
  ::sigaction(SIGBUS, &action_before, nullptr);  // not ours: it comes again, to whoever had it before
}

void remember(const void* begin, size_t size, const std::string& path) {
  const std::lock_guard lock(mapped_mutex);
  if (!all_mapped) {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, &action_before);
  }
  Mapped* entry = all_mapped;
  while (entry && entry->begin.load()) entry = entry->next;
  if (!entry) {
    entry = new Mapped;
    entry->next = all_mapped;
    all_mapped = entry;
  }
  entry->size = size;
  const std::string line = fmt::format("chapbook: {} was cut short while it was read\n", path);
  entry->line[line.copy(entry->line, sizeof entry->line - 1)] = '\0';
  entry->begin = static_cast<const char*>(begin);
}

void forget(const void* begin) {
  const std::lock_guard lock(mapped_mutex);
  for (Mapped* at = all_mapped; at; at = at->next)
    if (at->begin == begin) at->begin = nullptr;
}

}  // namespace

Mapping::Mapping(const std::string& path) {
  const File file = File::to_read_regular(path);
  size_ = file.size();
  check(size_ > 0, "cannot read {}: it is empty", path);
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.open_->descriptor, 0);
  if (memory == MAP_FAILED) fail_errno("read", path);
  begin_ = memory;
  remember(begin_, size_, path);
}

Mapping::~Mapping() {
  if (!begin_) return;
  forget(begin_);
  ::munmap(begin_, size_);
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace chapbook::os
