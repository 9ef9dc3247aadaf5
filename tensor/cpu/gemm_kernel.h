// The innermost loop of the matrix product: a block of y stays in registers while a panel of a and a panel of
// b stream by, two multiply-adds of whole vectors for each number of a that is loaded. Compiled once for
// every kind of processor (gemm_avx512.cpp, gemm_avx2.cpp, gemm_portable.cpp), so nothing here may be shared
// between those files: it all lies in an anonymous namespace, and includes only types.
#pragma once
#include <array>
#include <cstdint>
#include <utility>

namespace chapbook::cpu {

// y (rows, columns) = a b, or += with `add`; b's rows lie b_step apart. a's rows lie a_step apart, or, by
// column, a holds all rows' numbers side by side for each k.
using TileProduct = void (*)(int64_t k, const float* a, int64_t a_step, const float* b, int64_t b_step,
                             float* y, int64_t y_step, bool add);

struct MicroKernel {
  const char* name;
  int rows, columns;             // of the largest block of y
  const TileProduct* by_row;     // for 1, 2, ..., rows rows of a that lie one after the other
  const TileProduct* by_column;  // for rows whose numbers lie side by side
};

extern const MicroKernel avx512_kernel, avx2_kernel, portable_kernel;

namespace {

template <int width, int vectors>
struct Tile {
  typedef float Vector __attribute__((vector_size(width * 4), aligned(4)));  // may be loaded from any address

  template <int rows, bool row_after_row>
  static void product(int64_t k, const float* a, [[maybe_unused]] int64_t a_step, const float* b,
                      int64_t b_step, float* y, int64_t y_step, bool add) {
    Vector sums[rows][vectors] = {};
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(y + r * y_step + v * width, 1);
    for (int64_t p = 0; p < k; ++p, b += b_step) {
      Vector right[vectors];
      for (int v = 0; v < vectors; ++v) right[v] = *reinterpret_cast<const Vector*>(b + v * width);
      for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v)
          sums[r][v] += (row_after_row ? a[r * a_step + p] : a[p * rows + r]) * right[v];
    }
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) {
        Vector* to = reinterpret_cast<Vector*>(y + r * y_step + v * width);
        *to = add ? *to + sums[r][v] : sums[r][v];
      }
  }

  template <bool row_after_row, int... r>
  static constexpr std::array<TileProduct, sizeof...(r)> table(std::integer_sequence<int, r...>) {
    return {product<r + 1, row_after_row>...};
  }
};

template <int width, int vectors, int rows>
struct Tables {
  using T = Tile<width, vectors>;
  static constexpr auto by_row = T::template table<true>(std::make_integer_sequence<int, rows>());
  static constexpr auto by_column = T::template table<false>(std::make_integer_sequence<int, rows>());
  static constexpr MicroKernel kernel(const char* name) {
    return {name, rows, width * vectors, by_row.data(), by_column.data()};
  }
};

}  // namespace
}  // namespace chapbook::cpu
