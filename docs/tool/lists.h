// Lists that the repository itself gives, and what they are about: chapters, exercises, and which lines of
// the files that a chapter explains it quotes.
#pragma once
#include <string>

#include "docs/tool/render.h"

namespace chapbook {

// `list: chapters`, `list: exercises 9`, `list: hints 9.1`, `list: coverage`, `list: rungs FILE`. Throws
// Error for a list there is not.
std::string list(const Book& book, const Page& page, const std::string& argument);

// One chapter of the plan, docs/chapters.txt.
struct Chapter {
  std::string number, title, folder, experiment;
  std::string page;  // docs/09-normalisation.md; empty as long as it is not written
};
std::vector<Chapter> chapters(const Book& book);

// Lines of explained files that are neither quoted nor have an `unquoted` comment; exercises that a chapter
// does not name by their titles; a chapter whose title is not the plan's.
std::vector<Problem> check_chapter(const Book& book, const Page& page, const std::vector<PageBlock>& blocks);

}  // namespace chapbook
