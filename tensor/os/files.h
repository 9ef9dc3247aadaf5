// What Chapbook asks of the operating system for its files; system.h has all else. files.cpp does it on Linux
// and other POSIX systems, portable_files.cpp with nothing but C++, where nothing is locked, synced or
// exchanged (CHAPBOOK_PORTABLE=ON). A call does its work or throws one line with the path and the system's
// reason. Tests make the n-th call go wrong.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tensor/check.h"

namespace chapbook::os {

// Which of the program's writes, syncs and renames goes wrong, counted from 1; none: 0. Set by tests, or by
// the variable CHAPBOOK_FAULT when the program starts: a list of these, with commas.
//   fail:N           the N-th fails
//   kill:N           the program is killed instead of doing the N-th
//   exchange:ERROR   no two directories can be exchanged: the call gives EINVAL, ENOSYS or EXDEV
//   count            how many there were is said on standard error at the end
struct Faults {
  int64_t fail_at = 0, kill_at = 0;
  int refuse_exchange = 0;  // the error it gives
  int64_t writes = 0, syncs = 0, renames = 0;
  int64_t calls() const { return writes + syncs + renames; }
  // Counts the call that is about to be made; false with errno set when it is the one to fail.
  bool allow(int64_t Faults::*counter);
};
Faults& faults();

struct InUse : Error {
  using Error::Error;
};

class File {
 public:
  static File to_read(const std::string& path);
  static File to_read_regular(const std::string& path);  // throws for all else, and does not wait for a pipe
  static File to_append(const std::string& path);        // made if there is none
  // Made if there is none, and this process's own until it is closed; throws while another process writes it.
  // Messages call it `name`. to_write begins an empty one, to_go_on writes behind what is there.
  static File to_write(const std::string& path, const std::string& name);
  static File to_go_on(const std::string& path, const std::string& name);
  // For the whole life of the process, however it ends; throws InUse naming the process that has the lock,
  // and Error for a file that is no lock. The file goes with it, unless the process is killed: then it stays,
  // and locks nobody out.
  static File to_lock(const std::string& path, const std::string& name);

  ~File();
  File(File&& other) noexcept;
  File(const File&) = delete;

  bool regular() const;
  uint64_t size() const;
  size_t read(void* to, size_t bytes);  // fewer only at the end
  void write(const void* from, size_t bytes);
  void empty();
  void sync();  // until what was written is on the disk

 private:
  friend class Mapping;
  struct Open;  // the system's
  explicit File(Open open);
  std::unique_ptr<Open> open_;
};

void sync_directory(const std::string& path);  // the names in it; nothing where the file system cannot
void rename(const std::string& from, const std::string& to);
bool exchange(const std::string& a, const std::string& b);  // false where the file system cannot
bool make_directory(const std::string& path);               // false where there is one already
void remove_all(const std::string& path);                   // nothing where there is none

// A file's bytes as memory, to read. Should the file be cut short meanwhile, the program ends with one line
// instead of SIGBUS when it comes to what is gone.
class Mapping {
 public:
  Mapping() = default;
  explicit Mapping(const std::string& path);  // of a file that is not empty
  ~Mapping();
  Mapping(Mapping&& other) noexcept { *this = std::move(other); }
  Mapping& operator=(Mapping&& other) noexcept;
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(begin_), size_}; }

 private:
  void* begin_ = nullptr;
  size_t size_ = 0;
};

}  // namespace chapbook::os
