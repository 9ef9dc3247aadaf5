// The book as a site: a directory that mkdocs turns into HTML. Nothing in it is loaded from outside.
#pragma once
#include <string>

#include "docs/tool/render.h"

namespace chapbook {

// Writes `directory`/mkdocs.yml and `directory`/pages: all pages, the files they link to as pages of their
// own, and their pictures. What was there before is replaced.
void write_site(const Book& book, const std::string& directory);

// Where a file of the repository is in the site: docs/ is its root, the rest is under code/.
std::string site_path(const std::string& path);

}  // namespace chapbook
