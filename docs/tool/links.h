// Links of a page: files and headings that are not there.
#pragma once
#include <string>
#include <vector>

#include "docs/tool/render.h"

namespace chapbook {

// Links to the outside are not followed. Pictures must be there too.
std::vector<Problem> check_links(const Book& book, const Page& page);

struct Link {
  std::string target;
  int line;
  size_t begin;  // of the target, in bytes of the page
};
std::vector<Link> find_links(const std::string& text);

// The names that links use for the headings of a page: "## What goes wrong" is #what-goes-wrong.
std::vector<std::string> anchors(const std::string& text);

}  // namespace chapbook
