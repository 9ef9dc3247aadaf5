#include "docs/tool/lists.h"

#include "tensor/check.h"

namespace chapbook {

std::string list(const Book&, const Page&, const std::string& argument) {
  fail("there is no list \"{}\"", argument);
}

}  // namespace chapbook
