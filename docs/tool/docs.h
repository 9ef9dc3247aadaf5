// The book against its sources: what is stale, and writing it anew.
#pragma once
#include <string>
#include <vector>

#include "docs/tool/render.h"

namespace chapbook {

struct Report {
  std::vector<Problem> problems;     // what makes the tests fail
  std::vector<Problem> notes;        // long experiments whose sources have changed since
  std::vector<std::string> written;  // files
};

// Whether a page says what its sources, programs and results say; whether its links, formulas and pictures
// are sound.
Report check_page(const Book& book, const Page& page);

// Fills the blocks of a page and draws its pictures. A block that cannot be filled stays as it is.
Report rewrite_page(const Book& book, Page& page);

}  // namespace chapbook
