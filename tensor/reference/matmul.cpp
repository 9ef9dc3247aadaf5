#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

// y[i, j] = sum over k of a[i, k] b[k, j], for every matrix of the batch; then the epilogue.
void ReferenceBackend::matmul(In a_view, In b_view, Out y_view, const Epilogue& epilogue) {
  const int64_t m = y_view.shape[-2], n = y_view.shape[-1], inner = a_view.shape[-1];
  const Numbers bias(epilogue.bias), residual(epilogue.residual), before(epilogue.before);
  const auto finish = [&](int64_t i, int64_t j, double sum) {
    if (epilogue.bias) sum += bias(j);
    if (epilogue.activation == Activation::gelu) {
      if (epilogue.before) before(i, j) = sum;
      sum = math::gelu(sum);
    } else if (epilogue.activation == Activation::gelu_backward) {
      sum *= math::gelu_derivative(static_cast<double>(before(i, j)));
    }
    return epilogue.residual ? sum + residual(i, j) : sum;
  };
  for (Index batch(leading(y_view.shape, 2)); batch; ++batch) {
    const Numbers a = at(a_view, batch), b = at(b_view, batch), y = at(y_view, batch);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k) sum += a(i, k) * b(k, j);
        y(i, j) = finish(i, j, sum);
      }
  }
  if (epilogue.b_sums) {
    const Numbers b(b_view), sums(epilogue.b_sums);
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < inner; ++k) sum += b(k, j);
      sums(j) = sum;
    }
  }
}

}  // namespace chapbook
