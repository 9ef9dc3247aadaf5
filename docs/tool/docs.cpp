#include "docs/tool/docs.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <regex>

#include "docs/tool/command.h"
#include "docs/tool/formula.h"
#include "docs/tool/links.h"
#include "docs/tool/lists.h"
#include "docs/tool/site.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

bool is_filled(const PageBlock& block) {
  return block.kind != "explains" && block.kind != "unquoted" && block.kind != "claim";
}

// Runs f; what it throws becomes a problem of this line of the page.
template <class F>
bool attempt(const Page& page, int line, std::vector<Problem>& problems, const F& f) {
  try {
    f();
    return true;
  } catch (const std::exception& error) {
    problems.push_back({page.path, line, error.what()});
    return false;
  }
}

// The first line in which two texts differ.
std::string first_difference(const std::string& was, const std::string& is) {
  const std::vector<std::string> a = split_lines(was), b = split_lines(is);
  size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
  const auto line = [&](const std::vector<std::string>& lines) {
    return i < lines.size() ? "\"" + lines[i] + "\"" : "nothing";
  };
  return fmt::format("the page has {}, now it is {}", line(a), line(b));
}

void append(std::vector<Problem>& all, const std::vector<Problem>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

// Code hosts read what is between <summary> and </details> as Markdown only where empty lines set it off.
std::string with_open_details(const std::string& text) {
  static const std::regex opens(R"(</summary>\n(?!\n))"), closes(R"(([^\n])\n</details>)");
  return std::regex_replace(std::regex_replace(text, opens, "</summary>\n\n"), closes, "$1\n\n</details>");
}

// What the tool does not write, but looks at.
void check_prose(const Book& book, const Page& page, const std::vector<PageBlock>& blocks, Report& report) {
  append(report.problems, check_links(book, page));
  const std::string open = with_open_details(page.text);
  if (const auto at = std::mismatch(page.text.begin(), page.text.end(), open.begin(), open.end()).first;
      at != page.text.end())
    report.problems.push_back(
        {page.path, 1 + static_cast<int>(std::count(page.text.begin(), at, '\n')),
         "there is no empty line behind </summary> or before </details>; ./chapbook docs adds it"});
  for (const PageBlock& block : blocks)
    if (block.kind == "claim")
      attempt(page, block.line, report.problems, [&] { check_claim(book, block.argument); });
  if (page.path.starts_with("docs/")) append(report.problems, check_formulas(page));
  attempt(page, 1, report.problems, [&] { append(report.problems, check_chapter(book, page, blocks)); });
}

}  // namespace

Report check_page(const Book& book, const Page& page) {
  Report report;
  std::vector<PageBlock> blocks = find_blocks(page, report.problems);
  for (const PageBlock& block : blocks) {
    if (!is_filled(block)) continue;
    attempt(page, block.line, report.problems, [&] {
      const std::string was = page.text.substr(block.begin, block.end - block.begin),
                        is = render(book, page, block);
      if (without_notes(was) != without_notes(is))
        fail("{}: {} is stale: {}; ./chapbook docs writes it anew", block.kind, block.argument,
             first_difference(was, is));
    });
    if (block.kind != "fig") continue;
    attempt(page, block.line, report.problems, [&] {
      const Picture picture = draw_picture(book, block);
      check(std::filesystem::exists(book.at(picture.path)), "{} is missing; ./chapbook docs draws it",
            picture.path);
      check(read_file(book.at(picture.path)) == picture.svg,
            "{} is not what its results give; ./chapbook docs draws it anew", picture.path);
    });
  }
  check_prose(book, page, blocks, report);
  report.notes = find_outdated(book, page, blocks);
  return report;
}

Report rewrite_page(const Book& book, Page& page) {
  Report report;
  const std::string before = page.text;
  page.text = with_open_details(page.text);
  std::vector<PageBlock> blocks = find_blocks(page, report.problems);
  // From the end, so that the places of the blocks before stay what they are.
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    if (!is_filled(*block)) continue;
    attempt(page, block->line, report.problems,
            [&] { page.text.replace(block->begin, block->end - block->begin, render(book, page, *block)); });
    if (block->kind != "fig") continue;
    attempt(page, block->line, report.problems, [&] {
      const Picture picture = draw_picture(book, *block);
      if (std::filesystem::exists(book.at(picture.path)) && read_file(book.at(picture.path)) == picture.svg)
        return;
      make_directory(book.at("docs/img"));
      write_file(book.at(picture.path), picture.svg);
      report.written.push_back(picture.path);
    });
  }
  if (page.text != before) {
    write_file(book.at(page.path), page.text);
    report.written.push_back(page.path);
  }
  std::vector<Problem> known;
  blocks = find_blocks(page, known);
  check_prose(book, page, blocks, report);
  std::stable_sort(report.problems.begin(), report.problems.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  report.notes = find_outdated(book, page, blocks);
  return report;
}

namespace {

struct DocsOptions {
  std::vector<std::string> pages;
  bool check = false;
  std::string site;
};

void docs(const DocsOptions& options) {
  Book book = open_book(CHAPBOOK_SOURCE_DIR, CHAPBOOK_BUILD_DIR);
  if (!options.site.empty()) return write_site(book, options.site);
  for (const std::string& wanted : options.pages)
    check(std::any_of(book.pages.begin(), book.pages.end(),
                      [&](const Page& page) { return page.path.find(wanted) != std::string::npos; }),
          "no page has \"{}\" in its path", wanted);
  Report all;
  size_t count = 0;
  for (Page& page : book.pages) {
    if (!options.pages.empty() &&
        std::none_of(options.pages.begin(), options.pages.end(),
                     [&](const std::string& wanted) { return page.path.find(wanted) != std::string::npos; }))
      continue;
    ++count;
    const Report report = options.check ? check_page(book, page) : rewrite_page(book, page);
    append(all.problems, report.problems);
    append(all.notes, report.notes);
    for (const std::string& path : report.written) fmt::print("written: {}\n", path);
  }
  for (const Problem& note : all.notes) fmt::print("note: {}:{}: {}\n", note.path, note.line, note.text);
  for (const Problem& problem : all.problems)
    fmt::print("{}:{}: {}\n", problem.path, problem.line, problem.text);
  if (!all.problems.empty()) throw CLI::RuntimeError(1);
  fmt::print("{} pages say what their sources say\n", count);
}

}  // namespace

void add_docs(CLI::App& program) {
  auto options = std::make_shared<DocsOptions>();
  CLI::App& command =
      *program.add_subcommand("docs", "write quotes, outputs, numbers, pictures and lists into the pages");
  command.add_option("page", options->pages, "only pages with this in their path: 09, tensor/")
      ->type_name("PAGE");
  command.add_flag("--check", options->check,
                   "write nothing; say what is stale, and end with exit code 1 if anything is");
  command.add_option("--site", options->site, "write the pages for mkdocs, which makes a site of them")
      ->type_name("DIR");
  command.callback([options] { docs(*options); });
}

}  // namespace chapbook
