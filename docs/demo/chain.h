// The product of several matrices, grouped so that it takes as few operations as can be.
#pragma once
#include <limits>
#include <vector>

#include "tensor/ops.h"

namespace chapbook {

// Which order is cheapest is found from shorter chains: those of one matrix cost nothing, and a longer one is
// cut somewhere into two, of which the cheapest ways are known.
inline Tensor chain(const std::vector<Tensor>& matrices) {
  const size_t n = matrices.size();
  std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0.0));  // of the chain from i to j
  std::vector<std::vector<size_t>> cut(n, std::vector<size_t>(n, 0));     // behind which matrix it is cut
  for (size_t length = 2; length <= n; ++length)
    for (size_t i = 0; i + length <= n; ++i) {
      const size_t j = i + length - 1;
      cost[i][j] = std::numeric_limits<double>::infinity();
      for (size_t k = i; k < j; ++k) {
        const auto ends = static_cast<double>(matrices[i].size(0) * matrices[j].size(1));
        const double here = cost[i][k] + cost[k + 1][j] + 2 * ends * static_cast<double>(matrices[k].size(1));
        if (here < cost[i][j]) cost[i][j] = here, cut[i][j] = k;
      }
    }
  const auto product = [&](const auto& self, size_t i, size_t j) -> Tensor {
    return i == j ? matrices[i] : matmul(self(self, i, cut[i][j]), self(self, cut[i][j] + 1, j));
  };
  return product(product, 0, n - 1);
}

}  // namespace chapbook
