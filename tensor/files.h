// Files and directories as a program that may be killed at any instant should write them: each is there whole
// or not at all, and on the disk when a function returns. Everything that Chapbook writes goes through here.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/os/files.h"

namespace chapbook {

// The bytes of a file. Throws for what is missing, a directory, or unreadable.
std::string read_file(const std::string& path);

// A file that is written piece by piece to PATH.part beside it; close() puts it in place. Without close(), as
// when an exception passes, nothing is left of it, and the old file, if there was one, is untouched. A device
// or a pipe is written as it is.
class NewFile {
 public:
  explicit NewFile(const std::string& path);
  ~NewFile();
  NewFile(const NewFile&) = delete;

  void write(const void* from, size_t bytes);
  void sync();   // all that was written is on the disk, beside its place
  void close();  // syncs, too

 private:
  std::string path_, part_;
  std::optional<os::File> file_;
};

void write_file(const std::string& path, std::string_view bytes);

// Makes a directory and those above it; throws where that cannot be.
void make_directory(const std::string& path);

// A directory that is made, and taken away again with all it holds unless keep() is called: what a command
// that fails should leave behind. Directories that were there before stay, as do those above that others have
// put something into.
class NewDirectory {
 public:
  explicit NewDirectory(const std::string& path);
  ~NewDirectory();
  NewDirectory(const NewDirectory&) = delete;
  bool made() const { return innermost_made_; }  // by this object, and not by another process meanwhile
  void keep() { made_.clear(); }
  // Only one process may have it. Who is refused does not take away what another works in, even if it was
  // faster to make it. Messages call it `name`.
  os::File lock(const std::string& name);

 private:
  std::string path_;
  std::vector<std::string> made_;  // the innermost first
  bool innermost_made_ = false;
};

// Calls fill(fresh) for an empty directory PATH.new and puts that in the place of `path`, which may exist.
// Killed at any instant, either the old directory is whole or the new one, and whole_directory() says where.
// False where the file system cannot exchange two directories in one step: then that is PATH.next for a
// moment.
bool write_directory(const std::string& path, const std::function<void(const std::string& fresh)>& fill);
// The second half of it, for a directory that is finished; `fresh` is gone afterwards, as is the old one.
bool replace_directory(const std::string& fresh, const std::string& path);
std::string whole_directory(const std::string& path);

// Takes a directory away so that it is whole or gone, killed at any instant; and what of it is only half
// there.
void remove_directory(const std::string& path);

// Tries with PATH.trial what write_directory will do with `path`, so that a long run does not find out late
// that it cannot. Throws if so; false as above.
bool try_replacing(const std::string& path);

}  // namespace chapbook
