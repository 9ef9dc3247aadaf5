#include "data/pretokenize.h"

#include <array>

#include "data/utf8.h"

namespace chapbook {
namespace {

constexpr CharacterClass ascii_class(unsigned char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return CharacterClass::letter;
  if (c >= '0' && c <= '9') return CharacterClass::number;
  if (c == ' ' || (c >= '\t' && c <= '\r')) return CharacterClass::space;
  return CharacterClass::other;
}

constexpr auto ascii_classes = [] {
  std::array<CharacterClass, 128> table{};
  for (size_t c = 0; c < table.size(); ++c) table[c] = ascii_class(static_cast<unsigned char>(c));
  return table;
}();

struct Character {
  CharacterClass character_class;
  size_t length;
};

inline Character character_at(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {ascii_classes[byte], 1};
  const CodePoint code_point = decode_utf8(text, at);
  return {character_class(code_point.value), code_point.length};
}

// The length of 's 't 're 've 'm 'll 'd (lower case only) at `at`, where an apostrophe stands; 0 if it is
// none of them.
size_t contraction_length(std::string_view text, size_t at) {
  const char first = at + 1 < text.size() ? text[at + 1] : '\0';
  const char second = at + 2 < text.size() ? text[at + 2] : '\0';
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  return first == 'l' && second == 'l' ? 3 : 0;
}

}  // namespace

size_t piece_end(std::string_view text, size_t begin) {
  if (text[begin] == '\'') {
    if (const size_t length = contraction_length(text, begin)) return begin + length;
  }
  size_t end = begin;
  Character character = character_at(text, begin);
  if (text[begin] == ' ' && begin + 1 < text.size()) {  // the one space a word carries, if a word follows
    const Character next = character_at(text, begin + 1);
    if (next.character_class != CharacterClass::space) {
      character = next;
      end = begin + 1;
    }
  }
  const CharacterClass kind = character.character_class;
  size_t last = end;  // where the last character of the run starts
  do {
    last = end;
    end += character.length;
    if (end == text.size()) return end;
    character = character_at(text, end);
  } while (character.character_class == kind);
  // \s+(?!\S): white space before something else leaves its last character to it, unless there is only one.
  return kind == CharacterClass::space && last > begin ? last : end;
}

size_t safe_cut(std::string_view text, size_t from) {
  for (size_t at = from == 0 ? 1 : from; at < text.size(); ++at) {
    const auto before = static_cast<unsigned char>(text[at - 1]),
               after = static_cast<unsigned char>(text[at]);
    if (before < 0x80 && after < 0x80 && ascii_classes[before] != CharacterClass::space &&
        ascii_classes[after] == CharacterClass::space) {
      return at;
    }
  }
  return text.size();
}

}  // namespace chapbook
