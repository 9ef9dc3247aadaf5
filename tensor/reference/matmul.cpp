#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

// y[i, j] = sum over k of a[i, k] b[k, j], for every matrix of the batch.
void ReferenceBackend::matmul(View a_view, View b_view, View y_view) {
  const int64_t m = y_view.shape[-2], n = y_view.shape[-1], inner = a_view.shape[-1];
  for (Index batch(leading(y_view.shape, 2)); batch; ++batch) {
    const Numbers a = at(a_view, batch), b = at(b_view, batch), y = at(y_view, batch);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k) sum += a(i, k) * b(k, j);
        y(i, j) = sum;
      }
  }
}

}  // namespace chapbook
