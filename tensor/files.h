// Files as a program that may be killed at any instant should treat them: what is written is there whole or
// not at all.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace chapbook {

// The bytes of a file. Throws for what is missing, a directory, or unreadable.
std::string read_file(const std::string& path);

// Writes to a new file beside it, syncs it and renames it into place. On any failure (a full disk) throws,
// and the old file, if there was one, is untouched.
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
  void keep() { made_.clear(); }

 private:
  std::vector<std::string> made_;  // the innermost first
};

// Puts a finished directory in the place of `path`, which may exist, and syncs: at every instant `path` is
// the old one or the new one. Both must be on one file system. `fresh` is gone afterwards, and so is the old
// directory.
void replace_directory(const std::string& fresh, const std::string& path);

// Waits until a file, or the names in a directory, are on the disk.
void sync_path(const std::string& path);

}  // namespace chapbook
