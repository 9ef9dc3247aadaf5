#include "tensor/json.h"

#include <algorithm>
#include <cmath>

namespace chapbook {

Json::Json(std::nullptr_t) {}
Json::Json(const char* text) : value_(std::string(text)) {}
Json::Json(std::string text) : value_(std::move(text)) {}
Json::Json(std::string_view text) : value_(std::string(text)) {}
Json::Json(As, bool value) : value_(value) {}
Json::Json(As, int64_t number) : value_(number) {}
Json::Json(As, uint64_t number) {
  if (std::in_range<int64_t>(number))
    value_ = static_cast<int64_t>(number);
  else
    value_ = number;
}
Json::Json(As, double number) : value_(number) {}
Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json::Json(std::initializer_list<Json> values) {
  const bool all_named = std::all_of(values.begin(), values.end(), [](const Json& each) {
    return each.is_array() && each.size() == 2 && each.front().is_string();
  });
  *this = all_named ? object(values) : array(values);
}

Json Json::array(std::initializer_list<Json> values) {
  Json list;
  list.value_ = List(values);
  return list;
}

Json Json::object(std::initializer_list<Json> members) {
  Json object;
  object.value_ = Members();
  for (const Json& member : members) object[member.at(0).text()] = member.at(1);
  return object;
}

std::string_view Json::kind_name() const {
  static constexpr std::string_view names[] = {"null",   "boolean", "number", "number", "number",
                                               "string", "array",   "object", "nothing"};
  return names[static_cast<size_t>(kind())];
}

void Json::is_not(const char* wanted) const {
  const std::string text = dump();
  throw JsonError(fmt::format("{} is not {}", text.size() <= 80 ? text : text.substr(0, 80) + "...", wanted));
}

bool Json::is_number_unsigned() const {
  return is_number_integer() && (kind() == Kind::beyond || whole() >= 0);
}

bool Json::is_whole(int64_t least, int64_t most) const {
  return kind() == Kind::whole && whole() >= least && whole() <= most;
}

bool Json::boolean() const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  is_not("true or false");
}

uint64_t Json::beyond() const { return std::get<uint64_t>(value_); }

// What was written with a point is cut towards zero.
int64_t Json::whole() const {
  if (const auto* number = std::get_if<int64_t>(&value_)) return *number;
  const double number = real();
  if (!(std::fabs(number) < 0x1p63)) is_not("a number that fits");
  return static_cast<int64_t>(number);
}

double Json::real() const {
  if (const auto* number = std::get_if<double>(&value_)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value_)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<uint64_t>(&value_)) return static_cast<double>(*number);
  is_not("a number");
}

const std::string& Json::text() const {
  if (const auto* text = std::get_if<std::string>(&value_)) return *text;
  is_not("a text");
}

const Json::List& Json::list() const {
  if (const auto* list = std::get_if<List>(&value_)) return *list;
  is_not("a list");
}

// ---- Members and elements

static const Json::Members none;

Json::Members& Json::items() {
  if (is_null()) value_ = Members();
  if (!is_object()) is_not("an object");
  return std::get<Members>(value_);
}

const Json::Members& Json::items() const {
  if (is_null()) return none;
  if (!is_object()) is_not("an object");
  return std::get<Members>(value_);
}

size_t Json::size() const {
  if (const auto* list = std::get_if<List>(&value_)) return list->size();
  if (const auto* members = std::get_if<Members>(&value_)) return members->size();
  return is_null() ? 0 : 1;
}

// Of that member; size() where there is none.
size_t Json::place(std::string_view name) const {
  const auto* members = std::get_if<Members>(&value_);
  if (!members) return size();
  return std::find_if(members->begin(), members->end(),
                      [&](const Member& each) { return each.name == name; }) -
         members->begin();
}

const Json& Json::element(size_t i) const {
  if (i >= size()) throw JsonError(fmt::format("there is no element {} of {}", i, size()));
  return is_object() ? items()[i].value : list()[i];
}

Json::Iterator<const Json> Json::end() const { return {this, size()}; }
Json::Iterator<Json> Json::end() { return {this, size()}; }

bool Json::contains(std::string_view name) const { return is_object() && place(name) < size(); }

const Json& Json::at(std::string_view name) const {
  const size_t at = place(name);
  if (!is_object() || at == size()) throw JsonError(fmt::format("\"{}\" is missing", name));
  return items()[at].value;
}

Json& Json::operator[](std::string_view name) {
  Members& members = items();
  const size_t at = place(name);
  return at < members.size() ? members[at].value
                             : members.emplace_back(Member{std::string(name), nullptr}).value;
}

void Json::push_back(Json value) {
  if (is_null()) value_ = List();
  if (!is_array()) is_not("a list");
  std::get<List>(value_).push_back(std::move(value));
}

void Json::update(const Json& object) {
  for (const auto& [name, value] : object.items()) (*this)[name] = value;
}

bool Json::erase(std::string_view name) {
  return std::erase_if(items(), [&](const Member& each) { return each.name == name; }) > 0;
}

bool operator==(const Json& a, const Json& b) {
  using Kind = Json::Kind;
  if (a.is_number() && b.is_number())
    return a.kind() == Kind::real || b.kind() == Kind::real ? a.real() == b.real() : a.value_ == b.value_;
  return a.value_ == b.value_;
}

}  // namespace chapbook
