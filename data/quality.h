// What is often wrong with a text: characters that were read in the wrong encoding, stories that are there
// twice.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chapbook {

// Mojibake: UTF-8 that was once read as Windows-1252 and written as UTF-8 again, so that the one character of
// three bytes became three. How many characters of the text look like that.
int64_t count_mojibake(std::string_view text);
// The text with those characters read aright. Text that has none comes back as it is.
std::string repair_mojibake(std::string_view text);

// A set of hashes: 8 bytes each, and as many free.
class HashSet {
 public:
  bool insert(uint64_t hash);  // false: it was there
  bool contains(uint64_t hash) const { return slots_[slot_of(hash)] != 0; }
  size_t size() const { return used_; }

 private:
  size_t slot_of(uint64_t& hash) const;
  std::vector<uint64_t> slots_ = std::vector<uint64_t>(1024);  // 0: free
  size_t used_ = 0;
};

}  // namespace chapbook
