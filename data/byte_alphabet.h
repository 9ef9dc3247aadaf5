// GPT-2's printable alphabet: vocab.json, merges.txt and tokenizer.json write each byte as one visible
// character. The 188 printable bytes of Latin-1 stand for themselves; the 68 others (space, controls...) are
// U+0100, U+0101, ... in their order. So a space reads as the character U+0120. The ids 0 to 255 of GPT-2
// follow the order of these characters.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chapbook {

// The bytes in the order of their characters: '!' first. Position = GPT-2's token id.
const std::array<uint8_t, 256>& bytes_in_alphabet_order();

std::string to_printable(std::string_view bytes);

// The bytes that `text` spells; nothing if it holds a character outside the alphabet.
std::optional<std::string> from_printable(std::string_view text);

}  // namespace chapbook
