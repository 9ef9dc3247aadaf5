#include "docs/tool/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <regex>

#include "apps/report/nearest.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

struct Named {
  std::string kind, name;   // "fn", "struct" or "test"; the name with its scopes: chapbook::LayerNorm::parts
  std::string parameters;   // of a function: from its bracket on, on one line
  bool definition = false;  // has a body
  Piece piece;
};

bool is_word(char letter) { return std::isalnum(static_cast<unsigned char>(letter)) || letter == '_'; }
bool is_space(char letter) { return std::isspace(static_cast<unsigned char>(letter)); }

class Reader {
 public:
  explicit Reader(const Source& source) : source_(source), code_(code_only(source.text)) {
    read_scope(0, code_.size(), "");
  }
  std::vector<Named> found;

 private:
  // The bracket that closes the one at `open`.
  size_t closing(size_t open) const {
    int depth = 0;
    for (size_t i = open; i < code_.size(); ++i) {
      if (std::string_view("([{").find(code_[i]) != std::string_view::npos) ++depth;
      if (std::string_view(")]}").find(code_[i]) != std::string_view::npos && --depth == 0) return i;
    }
    fail("{}: a bracket is not closed", source_.path);
  }

  void read_scope(size_t begin, size_t end, const std::string& scope) {
    size_t start = begin;  // of the declaration that is being read
    for (size_t i = begin; i < end; ++i) {
      const char letter = code_[i];
      if (letter == '(' || letter == '[') {
        i = closing(i);
      } else if (letter == ';') {
        add_function(start, i, i, i, scope, false);
        start = i + 1;
      } else if (letter == ':' && is_access(start, i)) {
        start = i + 1;
      } else if (letter == '{') {
        const size_t close = closing(i);
        if (read_braces(start, i, close, scope)) start = close + 1;
        i = close;
      }
    }
  }

  // Whether the declaration ends with these braces.
  bool read_braces(size_t start, size_t open, size_t close, const std::string& scope) {
    const std::string head = code_.substr(start, open - start);
    static const std::regex opens_scope(R"(^\s*(?:inline\s+)?(?:namespace\b\s*([\w:]*)|extern)\s*$)");
    static const std::regex opens_type(
        R"(^\s*(?:template\s*<[^{}]*>\s*)?(?:enum\s+class|struct|class|union|enum)\s+(?:alignas\s*\([^)]*\)\s*)?([\w:]+)[^()=]*$)");
    std::smatch match;
    if (std::regex_match(head, match, opens_scope)) {
      read_scope(open + 1, close, join(scope, match[1]));
      return true;
    }
    if (std::regex_match(head, match, opens_type)) {
      const size_t semicolon = std::min(code_.find(';', close), code_.size() - 1);
      found.push_back(
          {"struct", join(scope, match[1]), "", true, whole_lines(start, semicolon, open, close)});
      if (head.find("enum") == std::string::npos) read_scope(open + 1, close, join(scope, match[1]));
      return false;  // it ends with the semicolon behind
    }
    return add_function(start, open, open, close, scope, true);
  }

  // Adds the declaration that begins at `start`, if it is a function, whose body or semicolon is at
  // `head_end`.
  bool add_function(size_t start, size_t head_end, size_t open, size_t close, const std::string& scope,
                    bool definition) {
    const std::string head = code_.substr(start, head_end - start);
    static const std::regex before_parameters(
        R"(((?:[\w~]+\s*::\s*)*(?:operator\s*[^\w\s(]+|operator\(\)|operator [\w:]+[ *&]*|~?\w+))\s*\()");
    std::smatch match;
    const size_t equals = find_outside(head, "=");
    std::string name;
    size_t bracket = std::string::npos;
    for (auto at = head.cbegin(); std::regex_search(at, head.cend(), match, before_parameters);) {
      const size_t where = static_cast<size_t>(match.position(0) + (at - head.cbegin()));
      if (is_outside(head, where)) {
        name = match[1];
        bracket = where + static_cast<size_t>(match.length(0)) - 1;
        break;
      }
      at = match[0].second;
    }
    if (bracket == std::string::npos || (equals < bracket && name.find("operator") == std::string::npos))
      return false;
    name.erase(std::remove_if(name.begin(), name.end(), is_space), name.end());
    if (definition && opens_initializer(head, bracket)) return false;
    const std::string parameters = words(head.substr(bracket, head.find_last_not_of(" \n") + 1 - bracket));
    Named item{"fn", join(scope, name), parameters, definition, whole_lines(start, close, open, close)};
    if (name == "TEST_CASE") {
      const size_t quote = source_.text.find('"', start + bracket);
      item.kind = "test";
      item.name = source_.text.substr(quote + 1, source_.text.find('"', quote + 1) - quote - 1);
    }
    if (!definition) item.piece.body = item.piece.body_end = item.piece.end;
    found.push_back(item);
    return true;
  }

  // Each stretch of white space as one space, so that a broken line is no difference.
  static std::string words(const std::string& text) {
    static const std::regex space(R"(\s+)");
    return std::regex_replace(text, space, " ");
  }

  // Of a constructor: whether the brace behind `head` belongs to `: member_{...}`, not to the body.
  static bool opens_initializer(const std::string& head, size_t bracket) {
    const size_t last = head.find_last_not_of(" \n");
    if (!is_word(head[last]) && head[last] != '>') return false;
    int depth = 0;
    for (size_t i = bracket; i < head.size(); ++i) {
      depth += (head[i] == '(') - (head[i] == ')');
      if (depth == 0 && head[i] == ':' && head[i - 1] != ':' && head[i + 1] != ':') return true;
    }
    return false;
  }

  // Whether a place is in no round, square or pointed brackets; `operator<` and `->` are no brackets, and
  // inside round ones < and > compare.
  static bool is_outside(const std::string& head, size_t place) {
    int round = 0, pointed = 0;
    for (size_t i = 0; i < place; ++i) {
      if (head.compare(i, 8, "operator") == 0) i += 8;
      const char letter = head[i];
      round += (letter == '(' || letter == '[') - (letter == ')' || letter == ']');
      if (round == 0) pointed += (letter == '<') - (letter == '>' && i > 0 && head[i - 1] != '-');
    }
    return round == 0 && pointed == 0;
  }
  static size_t find_outside(const std::string& head, std::string_view what) {
    size_t at = head.find(what);
    while (at != std::string::npos && !is_outside(head, at)) at = head.find(what, at + 1);
    return at;
  }

  bool is_access(size_t start, size_t colon) const {
    static const std::regex access(R"(\s*(public|private|protected)\s*)");
    return std::regex_match(code_.begin() + static_cast<std::ptrdiff_t>(start),
                            code_.begin() + static_cast<std::ptrdiff_t>(colon), access);
  }

  static std::string join(const std::string& scope, const std::string& name) {
    return scope.empty() || name.empty() ? scope + name : scope + "::" + name;
  }

  // The lines of a declaration, with the comment directly above it.
  Piece whole_lines(size_t start, size_t last, size_t open, size_t close) const {
    const std::string& text = source_.text;
    start = code_.find_first_not_of(" \n", start);
    size_t begin = start ? text.rfind('\n', start - 1) + 1 : 0;
    while (begin > 0) {
      const size_t above = begin > 1 ? text.rfind('\n', begin - 2) + 1 : 0;
      const std::string line = text.substr(above, begin - above);
      const size_t comment = line.find_first_not_of(' ');
      if (line.compare(comment, 2, "//") != 0 || is_region_marker(line)) break;
      begin = above;
    }
    const size_t end = std::min(text.find('\n', last), text.size() - 1) + 1;
    return {begin, end, open + 1, close};
  }

  const Source& source_;
  const std::string code_;
};

Piece find_region(const Source& source, std::string_view name) {
  std::vector<std::string> open, known;
  Piece piece;
  bool inside = false;
  size_t depth = 0, at = 0;
  for (const std::string& line : split_lines(source.text)) {
    const size_t next = std::min(at + line.size() + 1, source.text.size());
    if (is_region_marker(line)) {
      const size_t colon = line.find("region: ");
      if (colon != std::string::npos) {
        open.push_back(line.substr(colon + 8));
        known.push_back(open.back());
        if (open.back() == name) {
          check(!inside && piece.end == 0, "{} has two regions {}", source.path, name);
          inside = true, depth = open.size();
          piece.begin = next;
        }
      } else {
        check(!open.empty(), "{} ends a region that was not begun", source.path);
        if (inside && open.size() == depth) piece.end = at, inside = false;
        open.pop_back();
      }
    }
    at = next;
  }
  check(open.empty(), "{}: the region {} has no end", source.path, open.empty() ? "" : open.back());
  if (piece.end == 0)
    fail("{} has no region {}{}", source.path, name,
         known.empty() ? "" : fmt::format("; did you mean {}?", nearest(std::string(name), known)));
  piece.body = piece.begin, piece.body_end = piece.end;
  return piece;
}

// The last parts of a qualified name, as many as `like` has.
std::string same_depth(const std::string& name, const std::string& like) {
  const auto parts = [](const std::string& text) {
    size_t count = 1;
    for (size_t at = text.find("::"); at != std::string::npos; at = text.find("::", at + 2)) ++count;
    return count;
  };
  std::string result = name;
  while (parts(result) > parts(like)) result = result.substr(result.find("::") + 2);
  return result;
}

}  // namespace

std::string code_only(const std::string& text) {
  std::string code = text;
  size_t i = 0;
  const auto blank_to = [&](size_t end) {
    for (end = std::min(end, text.size()); i < end; ++i)
      if (code[i] != '\n') code[i] = ' ';
  };
  const auto after = [&](std::string_view what, size_t from) {
    const size_t at = text.find(what, from);
    return at == std::string::npos ? text.size() : at + what.size();
  };
  const auto line_end = [&](size_t from) {
    size_t end = text.find('\n', from);
    while (end != std::string::npos && end > 0 && text[end - 1] == '\\') end = text.find('\n', end + 1);
    return std::min(end, text.size());
  };
  bool line_begins = true;
  while (i < text.size()) {
    const char letter = text[i];
    if (text.compare(i, 2, "//") == 0) {
      blank_to(line_end(i));
    } else if (text.compare(i, 2, "/*") == 0) {
      blank_to(after("*/", i + 2));
    } else if (letter == '#' && line_begins) {
      blank_to(line_end(i));
    } else if (text.compare(i, 2, "R\"") == 0 && (i == 0 || !is_word(text[i - 1]))) {
      const size_t bracket = text.find('(', i);
      check(bracket != std::string::npos, "a raw string has no bracket");
      blank_to(after(")" + text.substr(i + 2, bracket - i - 2) + "\"", bracket));
    } else if (letter == '"' || (letter == '\'' && (i == 0 || !is_word(text[i - 1])))) {  // not in 1'000
      size_t end = i + 1;
      while (end < text.size() && text[end] != letter) end += text[end] == '\\' ? 2 : 1;
      blank_to(end + 1);
    } else {
      line_begins = letter == '\n' || (line_begins && is_space(letter));
      ++i;
    }
  }
  return code;
}

bool is_region_marker(std::string_view line) {
  static const std::regex marker(R"(^\s*(//|#) (region: \S+|endregion)$)");
  return std::regex_match(line.begin(), std::find(line.begin(), line.end(), '\n'), marker);
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

Piece find_piece(const Source& source, std::string_view name) {
  const size_t colon = name.find(':');
  if (colon == std::string_view::npos) return find_region(source, name);
  const std::string kind(name.substr(0, colon));
  check(kind == "fn" || kind == "struct" || kind == "test",
        "{}#{}: a piece is fn:NAME, struct:NAME, test:NAME or the name of a region", source.path, name);
  std::string wanted(name.substr(colon + 1)), parameters;
  if (kind == "fn") {
    const size_t bracket = wanted.find('(', wanted.starts_with("operator()") ? 10 : 0);
    if (bracket != std::string::npos) parameters = wanted.substr(bracket), wanted.resize(bracket);
  }
  std::vector<Named> hits;
  std::vector<std::string> known;
  for (const Named& item : Reader(source).found) {
    if (item.kind != kind) continue;
    const std::string ending = kind == "test" ? item.name : same_depth(item.name, wanted);
    known.push_back(ending);
    if (kind == "test" ? ending.starts_with(wanted)
                       : ending == wanted && item.parameters.starts_with(parameters))
      hits.push_back(item);
  }
  if (std::any_of(hits.begin(), hits.end(), [](const Named& item) { return item.definition; }))
    std::erase_if(hits, [](const Named& item) { return !item.definition; });
  if (hits.empty())
    fail("{} has no {}{}", source.path, name,
         known.empty() ? "" : fmt::format("; did you mean {}:{}?", kind, nearest(wanted, known)));
  if (hits.size() > 1) {
    std::string ways;
    for (const Named& item : hits)
      ways += fmt::format("{}{}:{}{}", ways.empty() ? "" : " or ", kind,
                          same_depth(item.name, wanted + "::x"), item.parameters);
    fail("{} has {} of {}; say more: {}", source.path, hits.size(), name, ways);
  }
  return hits[0].piece;
}

std::vector<NamedPiece> named_pieces(const Source& source) {
  std::vector<NamedPiece> all;
  for (const Named& item : Reader(source).found)
    if (item.definition) all.push_back({item.kind + ":" + item.name + item.parameters, item.piece});
  return all;
}

std::vector<std::string> quoted_lines(const Source& source, const Piece& piece, std::vector<int>* numbers) {
  std::vector<std::string> lines;
  int number =
      1 + static_cast<int>(std::count(source.text.begin(),
                                      source.text.begin() + static_cast<std::ptrdiff_t>(piece.begin), '\n'));
  if (numbers) numbers->clear();
  size_t indent = std::string::npos;
  for (std::string& line :
       split_lines(std::string_view(source.text).substr(piece.begin, piece.end - piece.begin))) {
    if (!is_region_marker(line)) {
      indent = std::min(indent, line.empty() ? indent : line.find_first_not_of(' '));
      lines.push_back(std::move(line));
      if (numbers) numbers->push_back(number);
    }
    ++number;
  }
  for (std::string& line : lines) line.erase(0, std::min(indent, line.size()));
  return lines;
}

}  // namespace chapbook
