// UTF-8 one code point at a time, and the three Unicode classes that GPT-2's pre-tokenizer asks for.
// Text is never refused: a byte that belongs to no well-formed sequence stands for itself as U+FFFD, one byte
// long.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace chapbook {

struct CodePoint {
  uint32_t value;
  size_t length;  // bytes it takes in the text
};

// The code point that starts at byte `at` < text.size(). Overlong forms, surrogates and values above U+10FFFF
// are ill-formed (Unicode 15, table 3-7).
CodePoint decode_utf8(std::string_view text, size_t at);

void append_utf8(std::string& text, uint32_t code_point);

// How many bytes of text can be shown now: all but a sequence at the end that has begun well and is not yet
// complete.
size_t complete_utf8(std::string_view text);

// The bytes for people to see, on one line and between quotation marks: line ends, quotation marks,
// backslashes, control characters and bytes that are no UTF-8 are escaped.
std::string visible(std::string_view bytes);

// The text with U+FFFD for each byte that is no UTF-8.
std::string well_formed(std::string_view bytes);

enum class CharacterClass : uint8_t { other, letter, number, space };  // \p{L}, \p{N}, \s and the rest

CharacterClass character_class(uint32_t code_point);

}  // namespace chapbook
