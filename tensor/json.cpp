#include "tensor/json.h"

#include <algorithm>

CHAPBOOK_JSON()

namespace chapbook {

Json parse_json(std::string_view text) { return Json::parse(text, shallow); }
Json try_parse_json(std::string_view text) { return Json::parse(text, shallow, false); }

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string json_string(const std::string& text) { return Json(text).dump(-1, ' ', /*ensure_ascii=*/true); }

std::string printable(std::string_view text) {
  constexpr size_t most = 80;
  size_t end = std::min(text.size(), most);
  if (end < text.size())  // not within a character, which has up to four bytes
    while (end > most - 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  const std::string quoted = Json(text.substr(0, end)).dump(-1, ' ', true, Json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2) + (end < text.size() ? "..." : "");
}

}  // namespace chapbook
