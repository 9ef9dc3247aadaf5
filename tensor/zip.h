// Zip archives (PKWARE's APPNOTE) whose files are stored as they are, as torch.save writes them; with zip64,
// since weights go beyond 4 GB.
#pragma once
#include <map>
#include <span>
#include <string>

#include "tensor/os/files.h"

namespace chapbook {

class ZipFile {
 public:
  explicit ZipFile(const std::string& path);  // throws one line for what is no such archive

  // All names.
  const auto& files() const { return files_; }
  // The bytes of a file in it, which are compared with their checksum. Throws for a name there is not.
  std::span<const std::byte> at(const std::string& name) const;

 private:
  struct Entry {
    uint64_t header, size;  // where its own header begins, and the bytes behind that
    uint32_t checksum;
  };
  template <class T>
  T number(uint64_t place) const;  // little-endian; throws beyond the end
  void read_entries(uint64_t place, uint64_t count);

  std::string path_;
  os::Mapping mapping_;
  std::map<std::string, Entry> files_;
};

}  // namespace chapbook
