#include "tensor/zip.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "tensor/check.h"
#include "tensor/json.h"

namespace chapbook {

static_assert(std::endian::native == std::endian::little, "numbers of zip archives are little-endian");

// What begins a record.
enum Magic : uint32_t {
  of_file = 0x04034b50,
  of_entry = 0x02014b50,
  of_end = 0x06054b50,
  of_end64 = 0x06064b50,
  of_place_of_end64 = 0x07064b50
};

static uint32_t crc32(std::span<const std::byte> bytes) {
  static constexpr auto table = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = ~0u;
  for (const std::byte byte : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<uint32_t>(byte)) & 0xFF];
  return ~crc;
}

template <class T>
T ZipFile::number(uint64_t place) const {
  const auto bytes = mapping_.bytes();
  check(place <= bytes.size() && sizeof(T) <= bytes.size() - place, "{}: a damaged zip archive", path_);
  T value;
  std::memcpy(&value, bytes.data() + place, sizeof(T));
  return value;
}

ZipFile::ZipFile(const std::string& path) : path_(path) {
  {
    const os::File file = os::File::to_read_regular(path);
    check(file.size() >= 22, "{}: no zip archive", path);
  }
  mapping_ = os::Mapping(path);
  // The record of the end is the last thing but a comment of up to 65,535 bytes.
  const uint64_t size = mapping_.bytes().size();
  uint64_t end = size - 22;
  while (number<uint32_t>(end) != of_end) {
    check(end > 0 && size - end < 22 + 65535, "{}: no zip archive, or cut short", path);
    --end;
  }
  if (end >= 20 && number<uint32_t>(end - 20) == of_place_of_end64) {
    const auto end64 = number<uint64_t>(end - 12);
    check(number<uint32_t>(end64) == of_end64, "{}: a damaged zip archive", path);
    read_entries(number<uint64_t>(end64 + 48), number<uint64_t>(end64 + 32));
  } else {
    read_entries(number<uint32_t>(end + 16), number<uint16_t>(end + 10));
  }
}

void ZipFile::read_entries(uint64_t place, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    check(number<uint32_t>(place) == of_entry, "{}: a damaged zip archive", path_);
    const auto name_size = number<uint16_t>(place + 28), extra_size = number<uint16_t>(place + 30);
    const uint64_t begin = place + 46, extra = begin + name_size;
    std::string name;
    for (uint64_t at = begin; at < extra; ++at) name += number<char>(at);
    Entry entry{number<uint32_t>(place + 42), number<uint32_t>(place + 24), number<uint32_t>(place + 16)};
    uint64_t packed = number<uint32_t>(place + 20);
    // What does not fit in 32 bits stands behind, in this order.
    for (uint64_t at = extra; at + 4 <= extra + extra_size; at += 4 + number<uint16_t>(at + 2)) {
      if (number<uint16_t>(at) != 1) continue;
      uint64_t field = at + 4;
      for (uint64_t* value : {&entry.size, &packed, &entry.header})
        if (*value == 0xFFFFFFFF) *value = number<uint64_t>(field), field += 8;
    }
    check(number<uint16_t>(place + 10) == 0 && packed == entry.size,
          "{}: '{}' is compressed in it; Chapbook reads archives of files as they are", path_,
          printable(name));
    check(files_.emplace(name, entry).second, "{}: holds '{}' twice", path_, printable(name));
    place = extra + extra_size + number<uint16_t>(place + 32);
  }
}

std::span<const std::byte> ZipFile::at(const std::string& name) const {
  const auto found = files_.find(name);
  check(found != files_.end(), "{}: there is no '{}' in it", path_, printable(name));
  const Entry& entry = found->second;
  check(number<uint32_t>(entry.header) == of_file, "{}: a damaged zip archive", path_);
  const uint64_t begin =
      entry.header + 30 + number<uint16_t>(entry.header + 26) + number<uint16_t>(entry.header + 28);
  const auto all = mapping_.bytes();
  check(begin <= all.size() && entry.size <= all.size() - begin, "{}: cut short: '{}' goes beyond its end",
        path_, printable(name));
  const auto bytes = all.subspan(begin, entry.size);
  check(crc32(bytes) == entry.checksum, "{}: '{}' is damaged: its checksum is another", path_,
        printable(name));
  return bytes;
}

}  // namespace chapbook
