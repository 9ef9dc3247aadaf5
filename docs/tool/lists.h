// Lists in pages that the repository itself gives: `list: chapters`, `list: exercises 9`, `list: coverage 9`.
#pragma once
#include <string>

#include "docs/tool/render.h"

namespace chapbook {

// Throws Error for a list there is not.
std::string list(const Book& book, const Page& page, const std::string& argument);

}  // namespace chapbook
