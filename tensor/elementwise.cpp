#include "tensor/elementwise.h"

namespace chapbook {

#define CHAPBOOK_STRING(name, formula) #name,

std::string_view name_of(Unary op) {
  static constexpr std::string_view names[] = {CHAPBOOK_UNARY_OPS(CHAPBOOK_STRING)};
  return names[static_cast<int>(op)];
}

std::string_view name_of(Binary op) {
  static constexpr std::string_view names[] = {CHAPBOOK_BINARY_OPS(CHAPBOOK_STRING)
                                                   CHAPBOOK_COMPARISONS(CHAPBOOK_STRING)};
  return names[static_cast<int>(op)];
}

}  // namespace chapbook
