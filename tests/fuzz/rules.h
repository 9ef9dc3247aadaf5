// Slow copies of two rules, written after their definitions and not after our code.
#pragma once
#include <string_view>

#include "data/utf8.h"

namespace chapbook {

// Unicode 15, table 3-7, row by row; what no row has is one byte of U+FFFD.
inline CodePoint decode_utf8_by_rule(std::string_view text, size_t at) {
  static constexpr struct {
    unsigned char bytes[4][2];  // from and to, of each byte
    size_t length;
  } rows[] = {{{{0x00, 0x7f}}, 1},
              {{{0xc2, 0xdf}, {0x80, 0xbf}}, 2},
              {{{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}}, 3},
              {{{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}}, 3},
              {{{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}}, 3},
              {{{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}}, 3},
              {{{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}, 4},
              {{{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}, 4},
              {{{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}}, 4}};
  for (const auto& row : rows) {
    if (text.size() - at < row.length) continue;
    bool fits = true;
    uint32_t value = 0;
    for (size_t i = 0; i < row.length; ++i) {
      const auto byte = static_cast<unsigned char>(text[at + i]);
      fits = fits && byte >= row.bytes[i][0] && byte <= row.bytes[i][1];
      const unsigned first_bits = row.length == 1 ? 0x7f : 0x7f >> row.length;
      value = value << 6 | (byte & (i == 0 ? first_bits : 0x3f));
    }
    if (fits) return {value, row.length};
  }
  return {0xfffd, 1};
}

// The end of what the expression matches at `begin`:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// The first alternative that matches anything is taken, each as long as it can be.
inline size_t piece_end_by_rule(std::string_view text, size_t begin) {
  const std::string_view rest = text.substr(begin);
  for (const std::string_view contraction : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (rest.starts_with(contraction)) return begin + contraction.size();
  const auto class_at = [&](size_t at) { return character_class(decode_utf8_by_rule(text, at).value); };
  const auto run = [&](size_t at, CharacterClass kind) {  // where a run of the class ends
    while (at < text.size() && class_at(at) == kind) at += decode_utf8_by_rule(text, at).length;
    return at;
  };
  for (const CharacterClass kind : {CharacterClass::letter, CharacterClass::number, CharacterClass::other})
    for (const size_t from : {begin + (text[begin] == ' '), begin})  // ` ?` takes the space where it can
      if (const size_t end = run(from, kind); end > from) return end;
  const size_t end = run(begin, CharacterClass::space);
  if (end == text.size()) return end;  // no \S follows
  size_t shorter = begin;              // \s+ gives back its last character, and then a space follows
  while (shorter + decode_utf8_by_rule(text, shorter).length < end)
    shorter += decode_utf8_by_rule(text, shorter).length;
  return shorter > begin ? shorter : end;
}

}  // namespace chapbook
