#include "docs/tool/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>

#include "docs/tool/source.h"
#include "tensor/check.h"

namespace chapbook {

static constexpr std::array filled = {"code", "out", "val", "fig", "list"};
static constexpr std::array told = {"explains", "unquoted", "claim"};

std::vector<ProseLine> prose_lines(const std::string& text) {
  std::vector<ProseLine> lines;
  std::string fence;  // what the fence that is open began with
  for (const std::string& line : split_lines(text)) {
    const size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const size_t ticks = std::min(line.find_first_not_of('`', indent), line.size()) - indent;
    if (fence.empty()) {
      if (ticks >= 3) fence = std::string(ticks, '`');
      lines.push_back({line, !fence.empty()});
    } else {
      lines.push_back({line, true});
      if (ticks >= fence.size() && indent + ticks == line.size()) fence.clear();
    }
  }
  return lines;
}

std::string without_code_spans(const std::string& line) {
  std::string result = line;
  for (size_t i = 0; i < line.size();) {
    if (line[i] != '`') {
      ++i;
      continue;
    }
    const size_t after = std::min(line.find_first_not_of('`', i), line.size()), ticks = after - i;
    size_t close = after;  // of as many back quotes as opened it
    for (size_t run = 0;; close += run) {
      close = line.find('`', close);
      if (close == std::string::npos) break;
      run = std::min(line.find_first_not_of('`', close), line.size()) - close;
      if (run == ticks) break;
    }
    if (close == std::string::npos) return result;
    std::fill(result.begin() + static_cast<std::ptrdiff_t>(i),
              result.begin() + static_cast<std::ptrdiff_t>(close + ticks), ' ');
    i = close + ticks;
  }
  return result;
}

std::vector<PageBlock> find_blocks(const Page& page, std::vector<Problem>& problems) {
  static const std::regex marker("<!-- (/?)([a-z]+)(?:: (.*?))? -->");
  std::vector<PageBlock> blocks;
  bool open = false;  // the last block
  int number = 0;
  size_t at = 0;
  const auto problem = [&](int line, const std::string& text) {
    problems.push_back({page.path, line, text});
  };
  for (const ProseLine& line : prose_lines(page.text)) {
    ++number;
    const std::string text = line.fenced ? "" : without_code_spans(line.text);
    for (std::sregex_iterator match(text.begin(), text.end(), marker), end; match != end; ++match) {
      const std::string kind = (*match)[2], argument = (*match)[3];
      const size_t begin = at + static_cast<size_t>(match->position(0)),
                   behind = begin + static_cast<size_t>(match->length(0));
      const auto is_kind = [&](const char* known) { return kind == known; };
      const bool fills = std::any_of(filled.begin(), filled.end(), is_kind);
      if ((*match)[1].length()) {
        if (!open || blocks.back().kind != kind)
          problem(number, fmt::format("<!-- /{} --> ends nothing", kind));
        else
          blocks.back().end = begin, open = false;
      } else if (fills || std::any_of(told.begin(), told.end(), is_kind)) {
        if (open) {
          problem(blocks.back().line,
                  fmt::format("<!-- {0}: ... --> has no <!-- /{0} -->", blocks.back().kind));
          blocks.pop_back();
        }
        blocks.push_back({kind, argument, number, behind, behind});
        open = fills;
      } else if ((*match)[3].matched) {
        problem(number, fmt::format("<!-- {}: ... -->: there are {}, {}", kind, fmt::join(filled, ", "),
                                    fmt::join(told, ", ")));
      }
    }
    at += line.text.size() + 1;
  }
  if (open) {
    problem(blocks.back().line, fmt::format("<!-- {0}: ... --> has no <!-- /{0} -->", blocks.back().kind));
    blocks.pop_back();
  }
  return blocks;
}

}  // namespace chapbook
