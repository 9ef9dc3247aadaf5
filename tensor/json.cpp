#include "tensor/json.h"

CHAPBOOK_JSON()

namespace chapbook {

Json parse_json(std::string_view text) { return Json::parse(text, shallow); }
Json try_parse_json(std::string_view text) { return Json::parse(text, shallow, false); }

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string json_string(const std::string& text) { return Json(text).dump(-1, ' ', /*ensure_ascii=*/true); }

std::string printable(const std::string& text) {
  const std::string whole = Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
  return whole.size() <= 82 ? whole.substr(1, whole.size() - 2) : whole.substr(1, 80) + "...";
}

}  // namespace chapbook
