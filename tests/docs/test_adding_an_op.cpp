// The changes that docs/adding-an-op.md walks through still fit the sources: what they leave as it is stands
// there, in one place, what they add does not, and they are as long as the page and CONTRIBUTING.md say. So
// are the other changes whose cost CONTRIBUTING.md tells.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "apps/run/settings.h"
#include "docs/tool/source.h"
#include "tensor/files.h"

using namespace chapbook;

namespace {

struct Hunk {
  std::string path, before, after;  // the lines without and with what is new
  int added = 0;
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
    if (line[0] == '+') ++hunks.back().added;
  }
  return hunks;
}

}  // namespace

TEST_CASE("the ops that the book adds could be added today") {
  const std::string root = CHAPBOOK_SOURCE_DIR "/";
  const std::string page = read_file(root + "docs/adding-an-op.md");
  const std::string contributing = read_file(root + "CONTRIBUTING.md");
  const size_t second = page.find("\n## An op of many numbers\n");
  REQUIRE(second != std::string::npos);
  for (const bool fused : {false, true}) {
    const std::vector<Hunk> hunks = hunks_of(fused ? page.substr(second) : page.substr(0, second));
    int lines = 0;
    std::set<std::string> files;
    for (const Hunk& hunk : hunks) {
      INFO(hunk.path, ":\n", hunk.before);
      const std::string source = read_file(root + hunk.path);
      const size_t at = source.find("\n" + hunk.before);
      REQUIRE(at != std::string::npos);
      CHECK(source.find("\n" + hunk.before, at + 1) == std::string::npos);
      CHECK(source.find(hunk.after) == std::string::npos);
      lines += hunk.added;
      files.insert(hunk.path);
    }
    CHECK(lines > 0);
    const std::string said = fmt::format("{} lines in {} files", lines, files.size());
    CHECK_MESSAGE(page.find(said) != std::string::npos, "the page does not say: ", said);
    const std::string row =
        fmt::format("| {} op | {} | {} |", fused ? "a fused" : "an elementwise", files.size(), lines);
    CHECK_MESSAGE(contributing.find(row) != std::string::npos, "CONTRIBUTING.md does not say: ", row);
  }
}

TEST_CASE("a model family is as long as CONTRIBUTING.md says, to a twentieth") {
  const std::string root = CHAPBOOK_SOURCE_DIR "/";
  const std::string contributing = read_file(root + "CONTRIBUTING.md"), row = "| a model family | 4 | ";
  const size_t at = contributing.find(row);
  REQUIRE(at != std::string::npos);
  const double said = std::stod(contributing.substr(at + row.size()));
  size_t lines = 0;
  for (const char* path : {"nn/llama.h", "nn/llama.cpp", "apps/run/family_llama.cpp"})
    lines += split_lines(read_file(root + path)).size();
  CHECK(std::fabs(static_cast<double>(lines) - said) <= 0.05 * said);
}

// The file with its comments left out.
static std::string code_of(const std::string& path) {
  std::string code;
  for (const std::string& line : split_lines(read_file(path))) code += line.substr(0, line.find("//")) + "\n";
  return code;
}

static int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_CASE("a command is a line of command.h, one of program.cpp, and a file of its own") {
  const std::string apps = CHAPBOOK_SOURCE_DIR "/apps/";
  std::map<std::string, std::string> others;  // file: code
  for (const auto& entry : std::filesystem::recursive_directory_iterator(apps))
    if (const std::string name = entry.path().filename().string();
        name.ends_with(".cpp") || name.ends_with(".h"))
      others[std::filesystem::relative(entry.path(), apps).string()] = code_of(entry.path());
  const std::string header = others.extract("command.h").mapped(),
                    program = others.extract("program.cpp").mapped();
  int commands = 0;
  for (const std::string& line : split_lines(header)) {
    const std::string before = "void add_", behind = "(CLI::App& program);";
    if (!line.starts_with(before)) continue;
    REQUIRE(line.find(behind) != std::string::npos);
    const std::string name = line.substr(before.size(), line.find(behind) - before.size()),
                      call = fmt::format("add_{}(", name);
    CAPTURE(name);
    ++commands;
    CHECK(occurrences(header, call) == 1);
    CHECK(occurrences(program, call) == 1);
    for (const auto& [file, code] : others)
      CHECK_MESSAGE(occurrences(code, call) == (file == name + ".cpp" ? 1 : 0), file);
  }
  CHECK(commands > 10);
  CHECK(read_file(CHAPBOOK_SOURCE_DIR "/CONTRIBUTING.md").find("| a command | 3 | 2 and its own |") !=
        std::string::npos);
}

TEST_CASE(
    "a setting is one line of its table: what reads, writes and shows settings names none of the others") {
  const std::string root = CHAPBOOK_SOURCE_DIR "/apps/";
  const Json all = to_json(Settings{});
  const std::string table = code_of(root + "run/settings_table.inc");
  std::string machinery;
  for (const char* file :
       {"run/settings.h", "run/settings.cpp", "settings_options.h", "settings_options.cpp"})
    machinery += code_of(root + file);
  std::set<std::string> named;
  for (const auto& [name, value] : all.items()) {
    CAPTURE(name);
    CHECK(std::regex_search(table, std::regex(fmt::format("SETTING\\([^,]*, *{},", name))));
    if (std::regex_search(machinery, std::regex(fmt::format("[.]{0}\\b|\"{0}\"", name)))) named.insert(name);
  }
  // Which must fit each other, which choose what others are, and which --help shows of a preset.
  CHECK(named == std::set<std::string>{"accumulation", "batch", "batch_tokens", "context", "family", "heads",
                                       "layers", "precision", "shards", "vocabulary", "width"});
  CHECK(all.size() > 40);
  CHECK(read_file(CHAPBOOK_SOURCE_DIR "/CONTRIBUTING.md").find("| a setting | 1 | 1 |") != std::string::npos);
}

TEST_CASE("the shortest command and the smallest backend are as long as CONTRIBUTING.md says") {
  const std::string root = CHAPBOOK_SOURCE_DIR "/";
  const std::string contributing = read_file(root + "CONTRIBUTING.md");
  std::string shortest;
  size_t fewest = SIZE_MAX;
  for (const auto& entry : std::filesystem::directory_iterator(root + "apps")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string source = read_file(entry.path());
    if (source.find("add_subcommand(") == std::string::npos || split_lines(source).size() >= fewest) continue;
    shortest = entry.path().filename().string(), fewest = split_lines(source).size();
  }
  const std::string command = fmt::format("`{}` is the shortest, {} lines", shortest, fewest);
  CHECK_MESSAGE(contributing.find(command) != std::string::npos, "CONTRIBUTING.md does not say: ", command);

  const std::vector<std::string> lines = split_lines(read_file(root + "tests/tensor/test_fallback.cpp"));
  const auto begin = std::find(lines.begin(), lines.end(), "class FarBackend final : public Backend {");
  const auto end = std::find(begin, lines.end(), "};");
  REQUIRE(end != lines.end());
  const std::string backend = fmt::format("has one in {} lines", end - begin + 1);
  CHECK_MESSAGE(contributing.find(backend) != std::string::npos, "CONTRIBUTING.md does not say: ", backend);
}
