// Formulas of a page, in $...$ or in a fence called math: what KaTeX would not render.
#pragma once
#include <string>
#include <vector>

#include "docs/tool/page.h"

namespace chapbook {

std::vector<Problem> check_formulas(const Page& page);

// What is wrong with a formula, without its dollars; empty if nothing is.
std::string formula_error(const std::string& formula);

}  // namespace chapbook
