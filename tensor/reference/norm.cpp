// Layer normalisation (Ba, Kiros & Hinton 2016), row by row.
#include <cmath>
#include <vector>

#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

void ReferenceBackend::layer_norm(In x_view, In weight_view, In bias_view, double epsilon, Out y_view,
                                  Out mean_view, Out rstd_view) {
  const int64_t rows = x_view.shape[0], n = x_view.shape[1];
  const Numbers x(x_view), weight(weight_view), bias(bias_view), y(y_view), saved_mean(mean_view),
      saved_rstd(rstd_view);
  for (int64_t i = 0; i < rows; ++i) {
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < n; ++j) mean += x(i, j) / n;
    for (int64_t j = 0; j < n; ++j) variance += (x(i, j) - mean) * (x(i, j) - mean) / n;
    const double rstd = 1 / std::sqrt(variance + epsilon);
    for (int64_t j = 0; j < n; ++j)
      y(i, j) = (x(i, j) - mean) * rstd * weight(j) + (bias_view ? double{bias(j)} : 0);
    saved_mean(i) = mean;
    saved_rstd(i) = rstd;
  }
}

// With u = (x - mean) rstd and du = dy weight:  dx = rstd (du - mean(du) - u mean(du u)), since mean and rstd
// depend on every x.
void ReferenceBackend::layer_norm_backward(In x_view, In weight_view, In mean_view, In rstd_view, In dy_view,
                                           Out dx_view, Out dweight_view, Out dbias_view) {
  const int64_t rows = x_view.shape[0], n = x_view.shape[1];
  const Numbers x(x_view), weight(weight_view), mean(mean_view), rstd(rstd_view), dy(dy_view), dx(dx_view);
  const Numbers dweight(dweight_view), dbias(dbias_view);
  std::vector<double> dweight_sum(n), dbias_sum(n);
  for (int64_t i = 0; i < rows; ++i) {
    double mean_du = 0, mean_du_u = 0;
    for (int64_t j = 0; j < n; ++j) {
      const double u = (x(i, j) - mean(i)) * rstd(i), du = dy(i, j) * weight(j);
      mean_du += du / n;
      mean_du_u += du * u / n;
      dweight_sum[j] += dy(i, j) * u;
      dbias_sum[j] += dy(i, j);
    }
    for (int64_t j = 0; j < n; ++j) {
      const double u = (x(i, j) - mean(i)) * rstd(i), du = dy(i, j) * weight(j);
      dx(i, j) = rstd(i) * (du - mean_du - u * mean_du_u);
    }
  }
  for (int64_t j = 0; j < n; ++j) {
    dweight(j) = dweight_sum[j];
    if (dbias_view) dbias(j) = dbias_sum[j];
  }
}

}  // namespace chapbook
