#include "data/json_lines.h"

#include <fmt/ranges.h>

#include <vector>

#include "tensor/check.h"
#include "tensor/json.h"

namespace chapbook {

void JsonLines::add(std::string_view bytes) {
  for (size_t end; (end = bytes.find('\n')) != bytes.npos; bytes.remove_prefix(end + 1)) {
    pending_ += bytes.substr(0, end);
    read_line(pending_);
    pending_.clear();
  }
  pending_ += bytes;
  check(pending_.size() <= max_json_line_bytes,
        "text {}: line {} has more than {} MB; a story a line is read", name_, lines_ + 1,
        max_json_line_bytes >> 20);
}

void JsonLines::finish() {
  read_line(pending_);
  pending_.clear();
}

void JsonLines::read_line(std::string_view line) {
  ++lines_;
  if (line.find_first_not_of(" \t\r") == line.npos) return;
  const Json object = try_parse_json(line);
  check(object.is_object(), "text {}: line {} is not a JSON object", name_, lines_);
  for (const char* name : {"text", "story"})
    if (const auto found = object.find(name); found != object.end() && found->is_string())
      return story_(found->get_ref<const std::string&>());
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  fail("text {}: line {} has no text under the name \"text\" or \"story\", but {}; rename it, as with jq",
       name_, lines_, names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", ")));
}

}  // namespace chapbook
