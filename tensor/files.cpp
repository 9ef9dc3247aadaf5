// Invariants of write_directory:
//   1. PATH.new may be anything, and is of no use to anybody.
//   2. PATH.next is whole, and newer than PATH; while there is one, PATH may be half removed.
//   3. Without PATH.next, PATH is whole or not there.
#include "tensor/files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "tensor/check.h"

namespace chapbook {

namespace fs = std::filesystem;

static std::string directory_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

static bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string read_file(const std::string& path) {
  os::File file = os::File::to_read(path);
  std::string bytes;
  size_t size = 0;
  for (size_t room = file.size() + 1;;
       room = std::max<size_t>(size, 1 << 16)) {  // pipes do not tell their size
    bytes.resize(size + room);
    const size_t count = file.read(bytes.data() + size, room);
    size += count;
    if (count < room) break;
  }
  bytes.resize(size);
  return bytes;
}

// ---- Files

NewFile::NewFile(const std::string& path) : path_(path), part_(path + ".part") {
  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    check(!fs::is_directory(status), "cannot write {}: Is a directory", path);
    part_.clear();
  } else if (fs::is_symlink(fs::symlink_status(path, ignored)) && fs::exists(status)) {
    path_ = fs::canonical(path).string();  // the link stays
    part_ = path_ + ".part";
  }
  file_.emplace(os::File::to_write(part_.empty() ? path_ : part_, path_));
}

NewFile::~NewFile() {
  std::error_code ignored;
  if (file_ && !part_.empty()) fs::remove(part_, ignored);
}

void NewFile::write(const void* from, size_t bytes) { file_->write(from, bytes); }

void NewFile::sync() { file_->sync(); }

void NewFile::close() {
  sync();
  if (!part_.empty()) os::rename(part_, path_);
  file_.reset();
  if (!part_.empty()) os::sync_directory(directory_of(path_));
}

void write_file(const std::string& path, std::string_view bytes) {
  NewFile file(path);
  file.write(bytes.data(), bytes.size());
  file.close();
}

// ---- Directories

// Makes what is missing of the path, the outermost first, and returns it so. That others make the same at the
// same time is no error.
static std::vector<std::string> make_missing(const std::string& path) {
  std::vector<std::string> missing, made;
  for (fs::path part = fs::absolute(path).lexically_normal(); !exists(part.string());
       part = part.parent_path())
    if (part.has_filename())
      missing.push_back(part.string());  // a name that ends in / has an empty last part
  for (; !missing.empty(); missing.pop_back())
    if (os::make_directory(missing.back())) {
      made.push_back(missing.back());
      os::sync_directory(directory_of(missing.back()));
    }
  std::error_code ignored;
  check(fs::is_directory(path, ignored), "cannot make the directory {}: Not a directory", path);
  return made;
}

void make_directory(const std::string& path) { make_missing(path); }

NewDirectory::NewDirectory(const std::string& path) : path_(path), made_(make_missing(path)) {
  std::reverse(made_.begin(), made_.end());
  std::error_code ignored;
  innermost_made_ = !made_.empty() && fs::equivalent(made_.front(), path, ignored);
  if (!innermost_made_) made_.clear();  // what is above holds another's directory
}

os::File NewDirectory::lock(const std::string& name) {
  try {
    return os::File::to_lock(path_ + "/lock", name);
  } catch (const os::InUse&) {
    keep();  // the other works in it
    throw;
  }
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

// What a kill in the middle may have left undone.
static void finish_replacing(const std::string& path) {
  const std::string next = path + ".next";
  if (!exists(next)) return;
  os::remove_all(path);
  os::rename(next, path);
  os::sync_directory(directory_of(path));
}

bool replace_directory(const std::string& fresh, const std::string& path) {
  finish_replacing(path);
  os::sync_directory(fresh);
  const bool replaces = exists(path), at_once = !replaces || os::exchange(fresh, path);
  if (!replaces) os::rename(fresh, path);
  if (!at_once) os::rename(fresh, path + ".next");
  os::sync_directory(directory_of(path));  // before anything of the old one goes
  finish_replacing(path);
  std::error_code ignored;  // a later call tries again where something of the old one is in the way
  fs::remove_all(fresh, ignored);
  return at_once;
}

bool write_directory(const std::string& path, const std::function<void(const std::string& fresh)>& fill) {
  const std::string fresh = path + ".new";
  os::remove_all(fresh);
  make_directory(fresh);
  try {
    fill(fresh);
    return replace_directory(fresh, path);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    throw;
  }
}

std::string whole_directory(const std::string& path) {
  return exists(path + ".next") ? path + ".next" : path;
}

void remove_directory(const std::string& path) {
  finish_replacing(path);
  os::remove_all(path + ".new");
  if (exists(path)) os::rename(path, path + ".new");
  os::remove_all(path + ".new");
}

bool try_replacing(const std::string& path) {
  const std::string trial = path + ".trial";
  bool at_once = true;
  for (const char* text : {"one", "two"}) {
    at_once = write_directory(trial, [&](const std::string& fresh) { write_file(fresh + "/file", text); });
    check(read_file(trial + "/file") == text, "{}: a directory put in place is not what was written", trial);
  }
  os::remove_all(trial);
  return at_once;
}

}  // namespace chapbook
