// What belongs into the blocks of a page.
#pragma once
#include <string>
#include <vector>

#include "docs/tool/page.h"

namespace chapbook {

struct Book {
  std::string root, build;  // directories: of the repository, and where its programs are built
  std::vector<Page> pages;

  std::string at(const std::string& path) const { return root + "/" + path; }
};

// All Markdown of the repository, in the order of paths.
Book open_book(const std::string& root, const std::string& build);

// The text between the comments of a block. Throws Error where the argument names what is not there.
std::string render(const Book& book, const Page& page, const PageBlock& block);

// What a `code` block quotes: lines, and the number of each in its file; 0 for "..." where some are left out.
struct Quote {
  std::string path;
  std::vector<std::string> lines;
  std::vector<int> numbers;
};
Quote read_quote(const Book& book, const std::string& argument);

// The picture of a `fig` block.
struct Picture {
  std::string path, svg;  // docs/img/NAME.svg, and what belongs into it
};
Picture draw_picture(const Book& book, const PageBlock& block);

// Results that a page shows and that were measured on other sources than there are now: one line each.
std::vector<Problem> find_outdated(const Book& book, const Page& page, const std::vector<PageBlock>& blocks);
// A caption without the note that find_outdated's findings add to it.
std::string without_notes(const std::string& text);

// Throws Error, with the numbers, unless a claim holds: `FILE#a < 2 * b`, chains of <, <=, > and >= between
// numbers and paths as `val` has them, in that or in another FILE#, which may be multiplied and divided; or
// `FILE#a == null` for what was not finite.
void check_claim(const Book& book, const std::string& argument);

// The path of a file as a page links to it.
std::string link_from(const Page& page, const std::string& path);

}  // namespace chapbook
