#include <cmath>

#include "tensor/packed.h"
#include "tensor/reference/numbers.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

namespace {

// One number of a row of a, whole ones and their scales, times column j: the meaning of the product of bytes,
// in f32 and not in double, since its order is its meaning, too.
float times_column(const std::vector<int>& whole, const std::vector<float>& scale, const Numbers& numbers,
                   const Numbers& scales, int64_t j) {
  constexpr int64_t width = PackedMatrix::panel, group = PackedMatrix::group;
  const int64_t panel = j / width, column = j % width;
  float y = 0;
  for (int64_t g = 0; g < static_cast<int64_t>(scale.size()); ++g) {
    int sum = 0;
    for (int64_t i = 0; i < group; ++i)
      sum += whole[g * group + i] * (static_cast<int>(numbers(panel, g, i / 4, column, i % 4)) - 128);
    y = std::fma(static_cast<float>(sum), scale[g] * static_cast<float>(scales(panel, g, column)), y);
  }
  return y;
}

}  // namespace

// y[i, j] = a b + bias + residual, b packed; see tensor/packed.h.
void ReferenceBackend::packed_matmul(In a_view, In numbers_view, In scales_view, In bias_view,
                                     In residual_view, Out y_view) {
  constexpr int64_t width = PackedMatrix::panel, group = PackedMatrix::group;
  const int64_t m = y_view.shape[0], n = y_view.shape[1], k = a_view.shape[1];
  const Numbers a(a_view), numbers(numbers_view), scales(scales_view), bias(bias_view),
      residual(residual_view), y(y_view);
  const int64_t groups = scales_view ? scales_view.shape[1] : 0;
  for (int64_t i = 0; i < m; ++i) {
    std::vector<int> whole(groups * group);
    std::vector<float> scale(groups);
    for (int64_t g = 0; g < groups; ++g) {
      float some[group] = {};
      for (int64_t p = 0; p < std::min(group, k - g * group); ++p)
        some[p] = static_cast<float>(a(i, g * group + p));
      scale[g] = quantise(group, some, &whole[g * group], 0);
    }
    for (int64_t j = 0; j < n; ++j) {
      const auto finish = [&]<class T>(T sum) {
        if (bias_view) sum += static_cast<T>(bias(j));
        return residual_view ? sum + static_cast<T>(residual(i, j)) : sum;
      };
      if (scales_view) {
        y(i, j) = finish(times_column(whole, scale, numbers, scales, j));
        continue;
      }
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += a(i, p) * numbers(j / width, p / 2, j % width, p % 2);
      y(i, j) = finish(sum);
    }
  }
}

}  // namespace chapbook
