#include "data/byte_alphabet.h"

#include "data/utf8.h"

namespace chapbook {
namespace {

bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct Alphabet {
  std::array<uint8_t, 256> order;
  std::array<uint32_t, 256> character_of_byte;
  std::array<int, 0x144> byte_of_character;  // 0x100 + 68 characters; -1: outside the alphabet

  Alphabet() {
    byte_of_character.fill(-1);
    size_t position = 0;
    for (int byte = 0; byte < 256; ++byte) {
      if (stands_for_itself(byte)) add(position, byte, static_cast<uint32_t>(byte));
    }
    for (int byte = 0, next = 0x100; byte < 256; ++byte) {
      if (!stands_for_itself(byte)) add(position, byte, static_cast<uint32_t>(next++));
    }
  }

  void add(size_t& position, int byte, uint32_t character) {
    order[position++] = static_cast<uint8_t>(byte);
    character_of_byte[byte] = character;
    byte_of_character[character] = byte;
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<uint8_t, 256>& bytes_in_alphabet_order() { return alphabet().order; }

std::string to_printable(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, alphabet().character_of_byte[static_cast<uint8_t>(byte)]);
  return text;
}

std::optional<std::string> from_printable(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const auto [value, length] = decode_utf8(text, at);
    const auto& byte_of_character = alphabet().byte_of_character;
    if (value >= byte_of_character.size() || byte_of_character[value] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte_of_character[value]));
    at += length;
  }
  return bytes;
}

}  // namespace chapbook
