// The change that docs/adding-an-op.md walks through still fits the sources: what it leaves as it is stands
// there, in one place, and what it adds does not.
#include <doctest/doctest.h>

#include "docs/tool/source.h"
#include "tensor/files.h"

using namespace chapbook;

namespace {

struct Hunk {
  std::string path, before, after;  // the lines with and without what is new
};

std::vector<Hunk> hunks_of(const std::string& page) {
  std::vector<Hunk> hunks;
  bool inside = false;
  for (const std::string& line : split_lines(page)) {
    if (line.starts_with("```")) inside = line == "```diff";
    if (!inside) continue;
    if (line.starts_with("+++ b/")) hunks.push_back({line.substr(6), "", ""});
    if (hunks.empty() || line.starts_with("```") || line.starts_with("---") || line.starts_with("+++") ||
        line.starts_with("@@"))
      continue;
    if (line[0] != '+') hunks.back().before += line.substr(1) + "\n";
    if (line[0] != '-') hunks.back().after += line.substr(1) + "\n";
  }
  return hunks;
}

}  // namespace

TEST_CASE("the op that the book adds could be added today") {
  const std::string root = CHAPBOOK_SOURCE_DIR "/";
  const std::vector<Hunk> hunks = hunks_of(read_file(root + "docs/adding-an-op.md"));
  CHECK(hunks.size() == 4);
  for (const Hunk& hunk : hunks) {
    INFO(hunk.path, ":\n", hunk.before);
    const std::string source = read_file(root + hunk.path);
    const size_t at = source.find("\n" + hunk.before);
    REQUIRE(at != std::string::npos);
    CHECK(source.find("\n" + hunk.before, at + 1) == std::string::npos);
    CHECK(source.find(hunk.after) == std::string::npos);
  }
}
