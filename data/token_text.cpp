#include "data/token_text.h"

#include <fmt/format.h>

#include "data/utf8.h"

namespace chapbook {

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
  const std::string bytes(tokenizer.token_bytes(id));
  for (size_t at = 0; at < bytes.size();) {
    const auto [value, length] = decode_utf8(bytes, at);
    if (value == 0xFFFD && length == 1) {
      std::string text = "bytes:";
      for (const char byte : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
      return text;
    }
    at += length;
  }
  return bytes;
}

}  // namespace chapbook
