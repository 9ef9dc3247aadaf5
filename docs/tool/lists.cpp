#include "docs/tool/lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>

#include "docs/tool/exercise.h"
#include "docs/tool/results.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

// "9" of docs/09-normalisation.md; empty for other pages.
std::string chapter_number(const Page& page) {
  static const std::regex name(R"(docs/0?(\d+)-[^/]*\.md)");
  std::smatch match;
  return std::regex_match(page.path, match, name) ? match[1].str() : "";
}

std::string chapter_list(const Book& book, const Page& page) {
  std::string table = "\n| | chapter | folder | experiment |\n| --- | --- | --- | --- |\n";
  for (const Chapter& chapter : chapters(book)) {
    const std::string title = chapter.page.empty()
                                  ? chapter.title
                                  : fmt::format("[{}]({})", chapter.title, link_from(page, chapter.page));
    table += fmt::format("| {} | {} | {} | {} |\n", chapter.number, title, chapter.folder,
                         chapter.page.empty() ? "to come" : chapter.experiment);
  }
  return table;
}

std::string exercise_list(const Page& page, const std::string& chapter) {
  std::string table = "\n| | exercise | kind | file |\n| --- | --- | --- | --- |\n";
  for (const Exercise* exercise : exercises_of(chapter))
    table += fmt::format("| {} | {} | {} | {} |\n", exercise->number, exercise->title, exercise->kind,
                         exercise->file.empty()
                             ? ""
                             : fmt::format("[{0}]({1})", exercise->file, link_from(page, exercise->file)));
  return table;
}

// Each hint folded for itself, so that one can be read without the next.
std::string hint_list(const std::string& number) {
  std::string text = "\n";
  for (const std::string& hint : exercise(number).hints) {
    const char* summary = text.size() == 1 ? "Hint" : "Another hint";
    text += fmt::format("<details><summary>{}</summary>\n\n{}\n\n</details>\n", summary, hint);
  }
  return text;
}

// Why the page leaves out a piece of a file.
struct Reason {
  std::string piece, why;
  int lines = 0;
};

struct Coverage {
  std::string path;
  int lines = 0, quoted = 0;  // of code
  std::vector<Reason> reasons;
  std::vector<int> missing;  // lines that are neither quoted nor have a reason
};

// The numbers of lines with more than brackets on them; not includes, nor what opens or closes a namespace.
std::set<int> lines_of_code(const Source& source) {
  static const std::regex nothing(R"([\s(){}\[\];,]*|namespace[\w\s:]*\{\s*|\s*(public|private):\s*)");
  std::set<int> numbers;
  int number = 0;
  for (const std::string& line : split_lines(code_only(source.text)))
    if (++number; !std::regex_match(line, nothing)) numbers.insert(number);
  return numbers;
}

Coverage cover(const Book& book, const std::string& path, const std::vector<PageBlock>& blocks) {
  Coverage coverage{.path = path, .lines = 0, .quoted = 0, .reasons = {}, .missing = {}};
  const Source source{path, read_file(book.at(path))};
  std::set<int> left = lines_of_code(source);
  coverage.lines = static_cast<int>(left.size());
  for (const PageBlock& block : blocks) {
    if (block.kind != "code" || !block.argument.starts_with(path + "#")) continue;
    for (const int number : read_quote(book, block.argument).numbers) left.erase(number);
  }
  coverage.quoted = coverage.lines - static_cast<int>(left.size());
  for (const PageBlock& block : blocks) {
    if (block.kind != "unquoted") continue;
    const size_t bar = block.argument.find(" | ");
    check(bar != std::string::npos, "<!-- unquoted: {} --> gives no reason: FILE#PIECE | reason",
          block.argument);
    const std::string name = block.argument.substr(0, bar);
    if (name != path && !name.starts_with(path + "#")) continue;
    Reason reason{name == path ? "the rest" : name.substr(path.size() + 1), block.argument.substr(bar + 3),
                  0};
    std::vector<int> numbers;
    if (name != path)
      quoted_lines(source, find_piece(source, reason.piece), &numbers);
    else
      numbers.assign(left.begin(), left.end());
    for (const int number : numbers) reason.lines += static_cast<int>(left.erase(number));
    check(reason.lines > 0, "{}: no line of {} is left that is not quoted", path, reason.piece);
    coverage.reasons.push_back(reason);
  }
  coverage.missing.assign(left.begin(), left.end());
  return coverage;
}

std::vector<std::string> explained_files(const std::vector<PageBlock>& blocks) {
  std::vector<std::string> files;
  static const std::regex word(R"(\S+)");
  for (const PageBlock& block : blocks)
    if (block.kind == "explains")
      for (std::sregex_iterator match(block.argument.begin(), block.argument.end(), word), end; match != end;
           ++match)
        files.push_back(match->str());
  return files;
}

std::string coverage_list(const Book& book, const Page& page) {
  std::vector<Problem> ignored;
  const std::vector<PageBlock> blocks = find_blocks(page, ignored);
  std::string table = "\n| file | lines of code | quoted here | the rest |\n| --- | --- | --- | --- |\n";
  for (const std::string& path : explained_files(blocks)) {
    const Coverage coverage = cover(book, path, blocks);
    std::string rest;
    for (const Reason& reason : coverage.reasons)
      rest += fmt::format("{}`{}` ({} line{}): {}", rest.empty() ? "" : "; ", reason.piece, reason.lines,
                          reason.lines == 1 ? "" : "s", reason.why);
    table += fmt::format("| [{}]({}) | {} | {} | {} |\n", path, link_from(page, path), coverage.lines,
                         coverage.quoted, rest);
  }
  return table;
}

constexpr int fewest_words = 1500, most_words = 3500;  // of a chapter

// Words of the sentences of a page, folded ones too: not code, tables or comments. A formula or a piece of
// code inside a sentence is a word.
int count_words(const Page& page) {
  static const std::regex silent(R"(<!--.*?-->|<[^>]*>|\]\([^)]*\))"), one(R"(`[^`]*`|\$[^$]*\$)"),
      word(R"(\S*\w\S*)");
  int count = 0;
  bool code = false;
  for (const std::string& line : split_lines(page.text)) {
    if (line.starts_with("```")) code = !code;
    if (code || line.starts_with("```") || line.starts_with("|")) continue;
    const std::string text = std::regex_replace(std::regex_replace(line, silent, ""), one, "x");
    count += static_cast<int>(
        std::distance(std::sregex_iterator(text.begin(), text.end(), word), std::sregex_iterator()));
  }
  return count;
}

// The rungs of the matrix product as bench/ladder timed them: one row each, one column for each size.
std::string rung_list(const Book& book, const std::string& path) {
  const Json results = read_json(book.at(path)), &sizes = results.at("sizes"),
             &machine = results.at("machine");
  std::string table = "\n| rung | threads |", line = "\n| --- | --- |";
  for (const Json& size : sizes) {
    table += fmt::format(" {} x {} x {} |", size.at("m").dump(), size.at("n").dump(), size.at("k").dump());
    line += " --- |";
  }
  table += line + "\n";
  for (size_t i = 0; i < sizes.at(0).at("rows").size(); ++i) {
    const Json& rung = sizes[0]["rows"][i];
    table += fmt::format("| {} | {} |", rung.at("name").get<std::string>(), rung.at("threads").dump());
    for (const Json& size : sizes) {
      const double gflops = size.at("rows").at(i).at("gflops").at("median");
      table += fmt::format(" {:.{}f} |", gflops, gflops < 10 ? 1 : 0);
    }
    table += "\n";
  }
  return table + fmt::format("\nGFLOP/s. *{}, {} cores, {}.*\n", machine.at("processor").get<std::string>(),
                             machine.at("cores").dump(), machine.at("date").get<std::string>());
}

}  // namespace

std::string list(const Book& book, const Page& page, const std::string& argument) {
  if (argument == "chapters") return chapter_list(book, page);
  if (argument.starts_with("exercises ")) return exercise_list(page, argument.substr(10));
  if (argument.starts_with("hints ")) return hint_list(argument.substr(6));
  if (argument == "coverage") return coverage_list(book, page);
  if (argument.starts_with("rungs ")) return rung_list(book, argument.substr(6));
  fail("there is no list \"{}\": there are chapters, exercises NUMBER, hints N.M, coverage, rungs FILE",
       argument);
}

std::vector<Chapter> chapters(const Book& book) {
  static const std::regex shape(R"(([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+))");
  std::vector<Chapter> plan;
  if (!std::filesystem::exists(book.at("docs/chapters.txt"))) return plan;
  for (const std::string& line : split_lines(read_file(book.at("docs/chapters.txt")))) {
    std::smatch match;
    check(std::regex_match(line, match, shape),
          "docs/chapters.txt: not NUMBER | TITLE | FOLDER | EXPERIMENT: {}", line);
    Chapter chapter{match[1], match[2], match[3], match[4], ""};
    for (const Page& page : book.pages)
      if (chapter_number(page) == chapter.number) chapter.page = page.path;
    plan.push_back(chapter);
  }
  return plan;
}

std::vector<Problem> check_chapter(const Book& book, const Page& page, const std::vector<PageBlock>& blocks) {
  std::vector<Problem> problems;
  const auto problem = [&](int line, const std::string& text) {
    problems.push_back({page.path, line, text});
  };
  for (const PageBlock& block : blocks)
    if (block.kind == "explains")
      for (const std::string& path : explained_files({block})) {
        std::string lines;
        const std::vector<int> missing = cover(book, path, blocks).missing;
        for (size_t i = 0; i < missing.size(); ++i) {
          const int first = missing[i];
          while (i + 1 < missing.size() && missing[i + 1] == missing[i] + 1) ++i;
          lines += fmt::format("{}{}", lines.empty() ? "" : ", ", first);
          if (missing[i] > first) lines += fmt::format("-{}", missing[i]);
        }
        if (!lines.empty())
          problems.push_back(
              {page.path, block.line,
               fmt::format("{} is explained, but these lines are neither quoted nor have a reason, "
                           "<!-- unquoted: FILE#PIECE | reason -->: {}",
                           path, lines)});
      }
  const std::string number = chapter_number(page);
  if (number.empty()) return problems;
  for (const Exercise& exercise : exercises())
    if (exercise.number.starts_with(number + ".") &&
        page.text.find(fmt::format("**{} {}**", exercise.number, exercise.title)) == std::string::npos)
      problem(1, fmt::format("the exercise **{} {}** is not on the page", exercise.number, exercise.title));
  const std::vector<Chapter> plan = chapters(book);
  const auto entry =
      std::find_if(plan.begin(), plan.end(), [&](const Chapter& c) { return c.number == number; });
  if (entry == plan.end() ||
      !page.text.starts_with(fmt::format("# {}. {}", number, entry->title.substr(0, entry->title.find(':')))))
    problem(1, fmt::format("the title is not \"# {}. ...\" as docs/chapters.txt has it", number));
  if (const int words = count_words(page); words < fewest_words || words > most_words)
    problem(1, fmt::format("{} words; a chapter has {} to {}", words, fewest_words, most_words));
  return problems;
}

}  // namespace chapbook
