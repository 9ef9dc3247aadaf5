#include "data/utf8.h"

#include <fmt/format.h>

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

namespace chapbook {
namespace {

size_t sequence_length(unsigned char lead) {  // 0: no sequence starts with this byte
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

// Whether `second` may follow `lead`: this alone excludes overlong forms, surrogates and values above
// U+10FFFF.
bool second_byte_fits(unsigned char lead, unsigned char second) {
  const unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return second >= lowest && second <= highest;
}

// How many of the `length` bytes of the sequence at `at` are there and well-formed.
size_t well_formed_bytes(std::string_view text, size_t at, size_t length) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const size_t present = std::min(length, text.size() - at);
  size_t n = 1;
  if (n < present && second_byte_fits(byte(0), byte(1))) {
    ++n;
    while (n < present && (byte(n) & 0xC0) == 0x80) ++n;
  }
  return n;
}

// Debian 12's utf8proc knows Unicode 15.0; tiktoken and Hugging Face tokenizers know 16.0. These are the
// letters and numbers that came in between, so that all three split alike. Sorted.
struct Range {
  uint32_t first, last;
  CharacterClass character_class;
};
constexpr CharacterClass letter = CharacterClass::letter, number = CharacterClass::number;
constexpr Range newer_characters[] = {
    {0x1C89, 0x1C8A, letter},   {0xA7CB, 0xA7CD, letter},   {0xA7DA, 0xA7DC, letter},
    {0x105C0, 0x105F3, letter}, {0x10D40, 0x10D49, number}, {0x10D4A, 0x10D65, letter},
    {0x10D6F, 0x10D85, letter}, {0x10EC2, 0x10EC4, letter}, {0x11380, 0x11389, letter},
    {0x1138B, 0x1138B, letter}, {0x1138E, 0x1138E, letter}, {0x11390, 0x113B5, letter},
    {0x113B7, 0x113B7, letter}, {0x113D1, 0x113D1, letter}, {0x113D3, 0x113D3, letter},
    {0x116D0, 0x116E3, number}, {0x11BC0, 0x11BE0, letter}, {0x11BF0, 0x11BF9, number},
    {0x13460, 0x143FA, letter}, {0x16100, 0x1611D, letter}, {0x16130, 0x16139, number},
    {0x16D40, 0x16D6C, letter}, {0x16D70, 0x16D79, number}, {0x18CFF, 0x18CFF, letter},
    {0x1CCF0, 0x1CCF9, number}, {0x1E5D0, 0x1E5ED, letter}, {0x1E5F0, 0x1E5F0, letter},
    {0x1E5F1, 0x1E5FA, number}, {0x2EBF0, 0x2EE5D, letter},
};

CharacterClass newer_class(uint32_t code_point) {
  const auto* range =
      std::lower_bound(std::begin(newer_characters), std::end(newer_characters), code_point,
                       [](const Range& candidate, uint32_t value) { return candidate.last < value; });
  const bool inside = range != std::end(newer_characters) && range->first <= code_point;
  return inside ? range->character_class : CharacterClass::other;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t at) {
  constexpr CodePoint invalid{0xFFFD, 1};
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[at + i])); };
  const size_t length = sequence_length(static_cast<unsigned char>(text[at]));
  if (length == 1) return {byte(0), 1};
  if (length == 0 || well_formed_bytes(text, at, length) < length) return invalid;
  uint32_t value = byte(0) & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) value = value << 6 | (byte(i) & 0x3F);
  return {value, length};
}

void append_utf8(std::string& text, uint32_t code_point) {
  const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) return put(code_point);
  if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
  }
  put(0x80 | (code_point & 0x3F));
}

size_t complete_utf8(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const size_t at = text.size() - back;
    const size_t length = sequence_length(static_cast<unsigned char>(text[at]));
    if (length > back && well_formed_bytes(text, at, length) == back) return at;
  }
  return text.size();
}

CharacterClass character_class(uint32_t code_point) {
  // White_Space is a property, not a category: separators, and these control characters.
  if ((code_point >= '\t' && code_point <= '\r') || code_point == 0x85) return CharacterClass::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharacterClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharacterClass::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharacterClass::space;
    case UTF8PROC_CATEGORY_CN:
      return newer_class(code_point);
    default:
      return CharacterClass::other;
  }
}

std::string well_formed(std::string_view bytes) {
  std::string text;
  for (size_t at = 0, length; at < bytes.size(); at += length) {
    const auto [value, size] = decode_utf8(bytes, at);
    length = size;
    append_utf8(text, value);
  }
  return text;
}

std::string visible(std::string_view bytes) {
  std::string text;
  for (size_t at = 0, length; at < bytes.size(); at += length) {
    const auto [value, size] = decode_utf8(bytes, at);
    length = size;
    const std::string_view character = bytes.substr(at, length);
    if (value == '\n')
      text += "\\n";
    else if (value == '"' || value == '\\')
      (text += '\\') += character;
    else if (value < 0x20 || value == 0x7F || (value == 0xFFFD && length == 1))
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(character[0]));
    else
      text += character;
  }
  return text;
}

}  // namespace chapbook
