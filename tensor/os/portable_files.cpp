// files.h with nothing but C++: for systems without POSIX. Names are replaced by std::filesystem's rename;
// nothing is locked, no sync reaches the disk for certain, and a mapped file is a copy in memory.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "tensor/check.h"
#include "tensor/os/files.h"
#include "tensor/os/system.h"

namespace chapbook::os {

namespace fs = std::filesystem;

[[noreturn]] static void fail_errno(const char* what, const std::string& path) {
  const int reason = errno;
  fail("cannot {} {}: {}", what, path, std::strerror(reason));
}

struct File::Open {
  std::FILE* file;
  std::string path, name;
};

static std::FILE* open_or_throw(const std::string& path, const char* mode, const char* what,
                                const std::string& name) {
  std::FILE* const file = std::fopen(path.c_str(), mode);
  if (!file) fail_errno(what, name);
  return file;
}

File::File(Open open) : open_(std::make_unique<Open>(std::move(open))) {}
File::File(File&& other) noexcept = default;
File::~File() {
  if (open_) std::fclose(open_->file);
}

File File::to_read(const std::string& path) {
  return File(Open{open_or_throw(path, "rb", "read", path), path, path});
}

File File::to_read_regular(const std::string& path) {
  std::error_code ignored;
  check(!fs::exists(path, ignored) || fs::is_regular_file(path, ignored), "cannot read {}: it is not a file",
        path);
  return to_read(path);
}

File File::to_append(const std::string& path) {
  return File(Open{open_or_throw(path, "ab", "write", path), path, path});
}

File File::to_write(const std::string& path, const std::string& name) {
  return File(Open{open_or_throw(path, "wb", "write", name), path, name});
}

File File::to_go_on(const std::string& path, const std::string& name) {
  return File(Open{open_or_throw(path, "ab", "write", name), path, name});
}

File File::to_lock(const std::string& path, const std::string&) { return to_append(path); }

bool File::regular() const {
  std::error_code ignored;
  return fs::is_regular_file(open_->path, ignored);
}

uint64_t File::size() const {
  std::fflush(open_->file);
  std::error_code error;
  const uint64_t size = fs::file_size(open_->path, error);
  check(!error, "cannot read {}: {}", open_->name, error.message());
  return size;
}

size_t File::read(void* to, size_t bytes) {
  const size_t count = std::fread(to, 1, bytes, open_->file);
  if (count < bytes && std::ferror(open_->file)) fail_errno("read", open_->name);
  return count;
}

void File::write(const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (!faults().allow(&Faults::writes) || std::fwrite(from, 1, bytes, open_->file) != bytes ||
      std::fflush(open_->file) != 0)  // what is not written is known now
    fail_errno("write", open_->name);
}

void File::empty() {
  std::fclose(open_->file);
  open_->file = std::fopen(open_->path.c_str(), "wb");
  if (!open_->file) fail_errno("write", open_->name);
}

void File::sync() {
  if (!regular()) return;
  if (!faults().allow(&Faults::syncs) || std::fflush(open_->file) != 0) fail_errno("write", open_->name);
}

void sync_directory(const std::string& path) {
  if (!faults().allow(&Faults::syncs)) fail_errno("sync", path);
}

void rename(const std::string& from, const std::string& to) {
  if (!faults().allow(&Faults::renames)) fail_errno("put in place", to);
  std::error_code error;
  fs::rename(from, to, error);
  check(!error, "cannot put in place {}: {}", to, error.message());
}

bool exchange(const std::string&, const std::string& b) {
  if (!faults().allow(&Faults::renames)) fail_errno("put in place", b);
  return false;
}

bool make_directory(const std::string& path) {
  std::error_code error;
  if (fs::create_directory(path, error)) return true;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return false;
  fail("cannot make the directory {}: {}", path, error ? error.message() : "it is a file");
}

void remove_all(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  check(!error, "cannot remove {}: {}", path, error.message());
}

Mapping::Mapping(const std::string& path) {
  File file = File::to_read_regular(path);
  size_ = file.size();
  check(size_ > 0, "cannot read {}: it is empty", path);
  auto bytes = std::make_unique<std::byte[]>(size_);
  check(file.read(bytes.get(), size_) == size_, "{} was cut short while it was read", path);
  begin_ = bytes.release();
}

Mapping::~Mapping() { delete[] static_cast<std::byte*>(begin_); }

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace chapbook::os
