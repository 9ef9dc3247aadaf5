// A matrix as it lies in memory, and the products of a single row.
#pragma once
#include <algorithm>
#include <cstdint>

namespace chapbook::cpu {

// One of the two strides is 1.
template <class T>
struct Matrix {
  T* data;
  int64_t row_stride, column_stride;

  T* at(int64_t row, int64_t column) const { return data + row * row_stride + column * column_stride; }
};

// y = a b for one row a, b with rows that lie side by side: adds multiples of rows, four at a time.
template <class T>
void add_rows(int64_t k, int64_t columns, const T* a, Matrix<const T> b, T* y) {
  std::fill(y, y + columns, T(0));
  int64_t p = 0;
  for (; p + 4 <= k; p += 4) {
    const T a0 = a[p], a1 = a[p + 1], a2 = a[p + 2], a3 = a[p + 3];
    const T *b0 = b.at(p, 0), *b1 = b.at(p + 1, 0), *b2 = b.at(p + 2, 0), *b3 = b.at(p + 3, 0);
#pragma GCC ivdep
    for (int64_t j = 0; j < columns; ++j) y[j] += (a0 * b0[j] + a1 * b1[j]) + (a2 * b2[j] + a3 * b3[j]);
  }
  for (; p < k; ++p) {
    const T a0 = a[p];
    const T* b0 = b.at(p, 0);
#pragma GCC ivdep
    for (int64_t j = 0; j < columns; ++j) y[j] += a0 * b0[j];
  }
}

// The dot product of two dense rows, in lanes.
template <class T>
T dot(int64_t n, const T* a, const T* b) {
  constexpr int lanes = 32;
  T sums[lanes] = {}, rest = 0;
  const int64_t whole = n / lanes * lanes;
  for (int64_t j = 0; j < whole; j += lanes)
    for (int lane = 0; lane < lanes; ++lane) sums[lane] += a[j + lane] * b[j + lane];
  for (int64_t j = whole; j < n; ++j) rest += a[j] * b[j];
  for (int width = lanes / 2; width; width /= 2)
    for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  return sums[0] + rest;
}

}  // namespace chapbook::cpu
