#include "docs/tool/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>

#include "apps/report/nearest.h"
#include "tensor/check.h"

namespace chapbook {

namespace fs = std::filesystem;

std::vector<Link> find_links(const std::string& text) {
  static const std::regex link(R"re(\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)|(?:href|src)="([^"]*)")re");
  std::vector<Link> links;
  int number = 0;
  size_t at = 0;
  for (const ProseLine& line : prose_lines(text)) {
    ++number;
    const std::string prose = line.fenced ? "" : without_code_spans(line.text);
    for (std::sregex_iterator match(prose.begin(), prose.end(), link), end; match != end; ++match) {
      const int group = (*match)[1].matched ? 1 : 2;
      // The text itself, since back quotes in a target are blanked in `prose`.
      const size_t begin = static_cast<size_t>(match->position(group)),
                   size = static_cast<size_t>(match->length(group));
      links.push_back({line.text.substr(begin, size), number, at + begin});
    }
    at += line.text.size() + 1;
  }
  return links;
}

std::vector<std::string> anchors(const std::string& text) {
  static const std::regex heading(R"(^#{1,6} +(.*?) *#*$)"), link(R"(\[([^\]]*)\]\([^)]*\))"),
      name("<a (?:id|name)=\"([^\"]+)\"");
  std::vector<std::string> result;
  std::map<std::string, int> seen;
  for (const ProseLine& line : prose_lines(text)) {
    std::smatch match;
    if (line.fenced) continue;
    if (std::regex_search(line.text, match, name)) result.push_back(match[1]);
    if (!std::regex_match(line.text, match, heading)) continue;
    std::string anchor;
    for (const char letter : std::regex_replace(match[1].str(), link, "$1")) {
      const auto byte = static_cast<unsigned char>(letter);
      if (std::isalnum(byte) || letter == '-' || letter == '_' || byte >= 0x80)
        anchor += static_cast<char>(std::tolower(byte));
      if (letter == ' ') anchor += '-';
    }
    const int before = seen[anchor]++;
    result.push_back(before ? fmt::format("{}-{}", anchor, before) : anchor);
  }
  return result;
}

std::vector<Problem> check_links(const Book& book, const Page& page) {
  std::vector<Problem> problems;
  static const std::regex outside("^[a-z]+:.*");
  for (const Link& link : find_links(page.text)) {
    if (std::regex_match(link.target, outside)) continue;
    const size_t hash = link.target.find('#');
    const std::string file = link.target.substr(0, hash);
    const std::string path =
        file.empty() ? page.path
                     : (fs::path(page.path).parent_path() / file).lexically_normal().generic_string();
    if (path.starts_with("..") || !fs::exists(book.at(path))) {
      problems.push_back({page.path, link.line, fmt::format("links to {}, which is not there", path)});
      continue;
    }
    if (hash == std::string::npos) continue;
    const auto other =
        std::find_if(book.pages.begin(), book.pages.end(), [&](const Page& p) { return p.path == path; });
    const std::vector<std::string> known =
        other == book.pages.end() ? std::vector<std::string>{} : anchors(other->text);
    const std::string anchor = link.target.substr(hash + 1);
    if (std::find(known.begin(), known.end(), anchor) == known.end())
      problems.push_back(
          {page.path, link.line,
           fmt::format("{} has no heading #{}{}", path, anchor,
                       known.empty() ? "" : fmt::format("; did you mean #{}?", nearest(anchor, known)))});
  }
  return problems;
}

}  // namespace chapbook
