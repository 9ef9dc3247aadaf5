#include "tensor/random.h"

#include <numeric>
#include <utility>

#include "tensor/check.h"

namespace chapbook {

std::vector<int32_t> permutation(int64_t n, Random& random) {
  check(0 <= n && n <= INT32_MAX, "permutation: {} is not a length between 0 and {}", n, INT32_MAX);
  std::vector<int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

}  // namespace chapbook
