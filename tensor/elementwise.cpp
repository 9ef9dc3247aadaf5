#include "tensor/elementwise.h"

namespace chapbook {

#define CHAPBOOK_STRING(name, operations, formula) #name,
#define CHAPBOOK_OPERATIONS(name, operations, formula) operations,

std::string_view name_of(Unary op) {
  static constexpr std::string_view names[] = {CHAPBOOK_UNARY_OPS(CHAPBOOK_STRING)};
  return names[static_cast<int>(op)];
}

std::string_view name_of(Binary op) {
  static constexpr std::string_view names[] = {CHAPBOOK_BINARY_OPS(CHAPBOOK_STRING)
                                                   CHAPBOOK_COMPARISONS(CHAPBOOK_STRING)};
  return names[static_cast<int>(op)];
}

int operations(Unary op) {
  static constexpr int counts[] = {CHAPBOOK_UNARY_OPS(CHAPBOOK_OPERATIONS)};
  return counts[static_cast<int>(op)];
}

int operations(Binary op) {
  static constexpr int counts[] = {CHAPBOOK_BINARY_OPS(CHAPBOOK_OPERATIONS)
                                       CHAPBOOK_COMPARISONS(CHAPBOOK_OPERATIONS)};
  return counts[static_cast<int>(op)];
}

}  // namespace chapbook
