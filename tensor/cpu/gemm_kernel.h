// The innermost loop of the matrix product: a block of y stays in registers while a panel of a and a panel of
// b stream by, several multiply-adds of whole vectors for each unit of a that is loaded. A unit is a float,
// or a pair of bf16 that one instruction multiplies: then the same loop does twice the work. Compiled once
// for every kind of processor (gemm_avx512.cpp and its neighbours), so nothing here may be shared between
// those files: it all lies in an anonymous namespace, and includes only types.
#pragma once
#include <array>
#include <cstdint>
#include <utility>

namespace chapbook::cpu {

// The bits of two bf16 that follow each other along k.
struct Pair {
  uint16_t first, second;
};

// y (rows, columns) = a b, or += with `add`, for k units; b is a panel: all columns' units side by side for
// each k. a's rows lie a_step apart, or, by column, a holds all rows' units side by side for each k.
template <class Unit>
using TileProduct = void (*)(int64_t k, const Unit* a, int64_t a_step, const Unit* b, float* y,
                             int64_t y_step, bool add);

template <class Unit>
struct MicroKernel {
  int rows, columns, k_step;           // of the largest block of y; k is a multiple of k_step
  const TileProduct<Unit>* by_row;     // for 1, 2, ..., rows rows of a that lie one after the other
  const TileProduct<Unit>* by_column;  // for rows whose units lie side by side; none: a is always turned
};

extern const MicroKernel<float> avx512_kernel, avx2_kernel, portable_kernel;
extern const MicroKernel<Pair> avx512bf16_kernel, avx512bf16_as_written_kernel;
extern const MicroKernel<Pair> amx_kernel, amx_as_written_kernel;
// Whether the processor has them, and this process may use them.
bool has_avx512bf16();
bool has_amx();

namespace {

// Floats, `width` to a vector.
template <int width>
struct Floats {
  using Unit = float;
  typedef float Vector __attribute__((vector_size(width * 4), aligned(4)));  // may be loaded from any address
  using Units = Vector;
  static constexpr int lanes = width;
  static void multiply_add(Vector& sums, float a, const Units& b) { sums += a * b; }
};

// `Arithmetic` is Floats, or says the same of pairs.
template <class Arithmetic, int vectors>
struct Tile {
  using Unit = typename Arithmetic::Unit;
  using Units = typename Arithmetic::Units;
  using Vector = typename Arithmetic::Vector;
  static constexpr int width = Arithmetic::lanes;

  template <int rows, bool row_after_row>
  static void product(int64_t k, const Unit* a, [[maybe_unused]] int64_t a_step, const Unit* b, float* y,
                      int64_t y_step, bool add) {
    Vector sums[rows][vectors] = {};
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(y + r * y_step + v * width, 1);
    // Four steps along k at a time: what they read lies at fixed distances from a few pointers, and of the
    // instructions, which two threads on one core share, more are multiply-adds.
    const auto steps = [&]<int count>(std::integral_constant<int, count>) {
      for (int p = 0; p < count; ++p) {
        Units right[vectors];
        for (int v = 0; v < vectors; ++v)
          right[v] = *reinterpret_cast<const Units*>(b + (p * vectors + v) * width);
        for (int r = 0; r < rows; ++r)
          for (int v = 0; v < vectors; ++v)
            Arithmetic::multiply_add(sums[r][v], row_after_row ? a[r * a_step + p] : a[p * rows + r],
                                     right[v]);
      }
      a += row_after_row ? count : count * rows, b += count * vectors * width;
    };
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) steps(std::integral_constant<int, 4>());
    for (; p < k; ++p) steps(std::integral_constant<int, 1>());
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) {
        Vector* to = reinterpret_cast<Vector*>(y + r * y_step + v * width);
        *to = add ? *to + sums[r][v] : sums[r][v];
      }
  }

  template <bool row_after_row, int... r>
  static constexpr std::array<TileProduct<Unit>, sizeof...(r)> table(std::integer_sequence<int, r...>) {
    return {product<r + 1, row_after_row>...};
  }
};

template <class Arithmetic, int vectors, int rows>
struct Tables {
  using T = Tile<Arithmetic, vectors>;
  static constexpr auto by_row = T::template table<true>(std::make_integer_sequence<int, rows>());
  static constexpr auto by_column = T::template table<false>(std::make_integer_sequence<int, rows>());
  static constexpr MicroKernel<typename T::Unit> kernel = {rows, T::width* vectors, 1, by_row.data(),
                                                           by_column.data()};
};

}  // namespace
}  // namespace chapbook::cpu
