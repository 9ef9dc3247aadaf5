#include "tensor/random.h"

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void ReferenceBackend::random(Distribution distribution, uint64_t seed, uint64_t counter, Out y_view) {
  const Numbers y(y_view);
  int64_t n = 0;
  for (Index i(y_view.shape); i; ++i, ++n)
    y(i) = distribution == Distribution::uniform ? uniform_at(seed, counter, n) : normal_at(seed, counter, n);
}

void ReferenceBackend::triangle(Out y_view, int64_t diagonal) {
  const int64_t rows = y_view.shape[-2], columns = y_view.shape[-1];
  for (Index batch(leading(y_view.shape, 2)); batch; ++batch) {
    const Numbers y = at(y_view, batch);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) y(i, j) = j <= i + diagonal ? 1 : 0;
  }
}

}  // namespace chapbook
