// JSON, ours and that of others. Its library is templates that take seconds to compile, so what everybody
// needs of them is compiled once, in json.cpp.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

// To make, copy and clear away a value.
#define CHAPBOOK_JSON(prefix)                                                                     \
  prefix template void nlohmann::basic_json<nlohmann::ordered_map>::json_value::destroy(value_t); \
  prefix template nlohmann::basic_json<nlohmann::ordered_map>::basic_json(const basic_json&);     \
  prefix template nlohmann::basic_json<nlohmann::ordered_map>::basic_json(initializer_list_t, bool, value_t);
CHAPBOOK_JSON(extern)

namespace chapbook {

using Json = nlohmann::ordered_json;  // members stay in the order in which they came

// For Json::parse(text, shallow): leaves out what is nested deeper than anything of ours. The library copies,
// compares and prints values recursively, and a file of brackets would take all of the stack.
inline constexpr auto shallow = [](int depth, auto /*event*/, auto& /*value*/) { return depth < 100; };

Json parse_json(std::string_view text);      // throws Json::parse_error; `shallow` as above
Json try_parse_json(std::string_view text);  // gives a value with is_discarded() instead

// One line, or with `indent` spaces a level; bytes that are not UTF-8 are replaced.
std::string to_text(const Json& json, int indent = -1);

// A text as JSON has it, in quotes and in ASCII. Throws Json::type_error where it is not UTF-8.
std::string json_string(const std::string& text);

// A text of somebody else's, from a file or a client, as an error may show it: on one line, in ASCII, and cut
// between two characters where it is longer than 80 bytes.
std::string printable(std::string_view text);

}  // namespace chapbook
