#include "data/quality.h"

#include <algorithm>
#include <iterator>

#include "data/utf8.h"

namespace chapbook {
namespace {

// The byte that Windows-1252 shows as this character; -1: none. Its five bytes without a character are read
// as the control characters of Latin-1, as browsers do (WHATWG's index of windows-1252).
int windows_1252_byte(uint32_t character) {
  static constexpr uint16_t from_0x80[32] = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                             0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
                                             0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                             0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
  if (character >= 0xA0 && character <= 0xFF) return static_cast<int>(character);
  const auto* found = std::find(std::begin(from_0x80), std::end(from_0x80), character);
  return found == std::end(from_0x80) ? -1 : 0x80 + static_cast<int>(found - from_0x80);
}

// Where some characters from `at` on are the bytes of one character: that one, and the length of the text it
// takes.
bool mojibake_at(std::string_view text, size_t at, std::string& character, size_t& length) {
  const auto next = [&](size_t from) {
    const CodePoint point = decode_utf8(text, from);
    return std::pair(point.length > 1 ? windows_1252_byte(point.value) : -1, point.length);
  };
  const auto [lead, lead_length] = next(at);
  const int count = lead >= 0xC2 && lead <= 0xDF   ? 2
                    : lead >= 0xE0 && lead <= 0xEF ? 3
                    : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                   : 0;
  if (count == 0) return false;
  character.assign(1, static_cast<char>(lead));
  length = lead_length;
  for (int i = 1; i < count; ++i) {
    if (at + length >= text.size()) return false;
    const auto [byte, byte_length] = next(at + length);
    if (byte < 0x80 || byte > 0xBF) return false;
    character += static_cast<char>(byte);
    length += byte_length;
  }
  return decode_utf8(character, 0).length == static_cast<size_t>(count);
}

// Calls found(begin, length, character) for each of them, from left to right.
template <class Found>
void for_each_mojibake(std::string_view text, Found found) {
  std::string character;
  for (size_t at = 0; at < text.size(); ++at) {
    // Its first character is U+00C2 to U+00F4: UTF-8 writes those with the first byte 0xC3.
    at = text.find('\xC3', at);
    if (at == text.npos) return;
    size_t length = 0;
    if (!mojibake_at(text, at, character, length)) continue;
    found(at, length, character);
    at += length - 1;
  }
}

}  // namespace

int64_t count_mojibake(std::string_view text) {
  int64_t count = 0;
  for_each_mojibake(text, [&](size_t, size_t, const std::string&) { ++count; });
  return count;
}

std::string repair_mojibake(std::string_view text) {
  std::string result;
  size_t done = 0;
  for_each_mojibake(text, [&](size_t begin, size_t length, const std::string& character) {
    result += text.substr(done, begin - done);
    result += character;
    done = begin + length;
  });
  return result += text.substr(done);
}

// The hash's slot, or the free one where it would go. 0 marks free slots, so the hash 0 is kept as 1.
size_t HashSet::slot_of(uint64_t& hash) const {
  if (hash == 0) hash = 1;
  const size_t mask = slots_.size() - 1;
  size_t slot = (hash * 0x9E3779B97F4A7C15u >> 20) & mask;
  while (slots_[slot] != 0 && slots_[slot] != hash) slot = (slot + 1) & mask;
  return slot;
}

bool HashSet::insert(uint64_t hash) {
  if (2 * (used_ + 1) > slots_.size()) {
    std::vector<uint64_t> old(2 * slots_.size());
    old.swap(slots_);
    for (uint64_t kept : old)
      if (kept != 0) slots_[slot_of(kept)] = kept;
  }
  const size_t slot = slot_of(hash);
  if (slots_[slot] != 0) return false;
  slots_[slot] = hash;
  ++used_;
  return true;
}

}  // namespace chapbook
