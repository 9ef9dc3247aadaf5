// Copying operands into panels: how a and b lie in memory when the innermost loop reads them.
#pragma once
#include <algorithm>

#include "tensor/cpu/matrix.h"

namespace chapbook::cpu {

constexpr int64_t k_block = 512;  // numbers of a row that are multiplied before going to the next rows
constexpr int64_t row_step = k_block + 16;  // rows of a panel of a then fall into different sets

typedef float Four __attribute__((vector_size(16), aligned(4)));
inline Four& four(float* x) { return *reinterpret_cast<Four*>(x); }
inline const Four& four(const float* x) { return *reinterpret_cast<const Four*>(x); }

// to[p step + i] = from[i row + p] for i < 4 and p < 4.
inline void transpose_four(const float* from, int64_t row, float* to, int64_t step) {
  const Four a = four(from), b = four(from + row), c = four(from + 2 * row), d = four(from + 3 * row);
  const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  four(to) = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  four(to + step) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  four(to + 2 * step) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  four(to + 3 * step) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

// Columns j to j + columns of b's rows p to p + k as a panel: `width` numbers for each row, missing ones 0.
// With sums, adds up the columns on the way: first those of the panel by themselves, since a chain of all
// rows would lose digits.
template <int width>
void pack_b(Matrix<const float> b, int64_t p, int64_t k, int64_t j, int64_t columns, float* panel,
            double* sums) {
  const float* from = b.at(p, j);
  if (columns < width) {
    std::fill(panel, panel + k * width, 0.0f);
    for (int64_t row = 0; row < k; ++row)
      for (int64_t column = 0; column < columns; ++column)
        panel[row * width + column] = from[row * b.row_stride + column * b.column_stride];
  } else if (b.column_stride == 1) {
    for (int64_t row = 0; row < k; ++row) {
      const float* x = from + row * b.row_stride;
      std::copy(x, x + width, panel + row * width);
    }
  } else {
    const int64_t whole = k / 4 * 4;
    for (int64_t row = 0; row < whole; row += 4)
      for (int column = 0; column < width; column += 4)
        transpose_four(from + row + column * b.column_stride, b.column_stride, panel + row * width + column,
                       width);
    for (int64_t row = whole; row < k; ++row)
      for (int column = 0; column < width; ++column)
        panel[row * width + column] = from[row + column * b.column_stride];
  }
  if (!sums) return;
  float here[width] = {};
  for (int64_t row = 0; row < k; ++row)
    for (int column = 0; column < width; ++column) here[column] += panel[row * width + column];
  for (int64_t column = 0; column < columns; ++column) sums[column] += here[column];
}

// Rows i to i + rows of a, k numbers of each from p, as a panel: row after row, row_step apart, or by column.
inline void pack_a(Matrix<const float> a, int64_t i, int64_t rows, int64_t p, int64_t k, float* panel) {
  const float* from = a.at(i, p);
  const int64_t step = a.column_stride;
  if (step == 1) {
    for (int64_t row = 0; row < rows; ++row)
      std::copy(from + row * a.row_stride, from + row * a.row_stride + k, panel + row * row_step);
  } else if (a.row_stride == 1 && rows >= 8 && rows <= 16) {  // two copies of eight numbers that may overlap
    for (int64_t column = 0; column < k; ++column)
      for (const int64_t first : {int64_t{0}, rows - 8})
        std::copy(from + column * step + first, from + column * step + first + 8,
                  panel + column * rows + first);
  } else {
    for (int64_t column = 0; column < k; ++column)
      for (int64_t row = 0; row < rows; ++row)
        panel[column * rows + row] = from[row * a.row_stride + column * step];
  }
}

}  // namespace chapbook::cpu
