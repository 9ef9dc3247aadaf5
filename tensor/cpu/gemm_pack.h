// Copying operands into panels: how a and b lie in memory when the innermost loop reads them. A panel is made
// of units: floats, or pairs of bf16 that follow each other along k; the last pair of an odd k is filled up
// with a zero, and so are the units up to a whole step of the kernel.
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "tensor/cpu/gemm_kernel.h"
#include "tensor/cpu/matrix.h"
#include "tensor/dtype.h"

namespace chapbook::cpu {

template <class Number>
using UnitOf = std::conditional_t<std::is_same_v<Number, float>, float, Pair>;
template <class Number>
constexpr int64_t unit_size = sizeof(UnitOf<Number>) / sizeof(Number);  // in numbers

// Units of 4 bytes are moved as floats, which leaves their bits alone; numbers of 2 bytes may begin anywhere.
typedef float Four __attribute__((vector_size(16), aligned(2), may_alias));
inline Four& four(void* x) { return *static_cast<Four*>(x); }
inline const Four& four(const void* x) { return *static_cast<const Four*>(x); }

// to[p step + i] = the unit at from + i row + p units, for i < 4 and p < 4; `row` in numbers, `step` in
// units.
template <class Number, class Unit>
void transpose_four(const Number* from, int64_t row, Unit* to, int64_t step) {
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

// Units of `rows` rows of k numbers, `row` numbers apart, side by side for each step along k, `step` units
// apart. Fours may overlap.
template <class Number, class Unit>
void turn(const Number* from, int64_t row, int64_t rows, int64_t k, Unit* to, int64_t step) {
  constexpr int64_t size = unit_size<Number>;
  const int64_t quick = rows < 4 ? 0 : k / size / 4 * 4;
  for (int64_t unit = 0; unit < quick; unit += 4)
    for (int64_t i = 0; i < rows; i += 4) {
      const int64_t r = std::min(i, rows - 4);
      transpose_four(from + r * row + unit * size, row, to + unit * step + r, step);
    }
  for (int64_t unit = quick; unit * size < k; ++unit)
    for (int64_t r = 0; r < rows; ++r) {
      Unit& here = to[unit * step + r] = {};
      std::memcpy(&here, from + r * row + unit * size, sizeof(Number) * std::min(size, k - unit * size));
    }
}

// Eight units side by side at once.
constexpr int64_t eight = 8;
inline void eight_units(const float* x, float* to) { std::copy(x, x + eight, to); }
inline void eight_units(const bf16* first, const bf16* second, Pair* to) {
  typedef uint16_t Eight __attribute__((vector_size(16), aligned(2), may_alias));
  const Eight a = *reinterpret_cast<const Eight*>(first), b = *reinterpret_cast<const Eight*>(second);
  Eight* const pairs = reinterpret_cast<Eight*>(to);
  pairs[0] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  pairs[1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

// Unit number p of each of `rows` rows of x that lie side by side: a stride of 1 between rows and `step`
// between numbers along k, of which there are k. Eights may overlap.
inline void units_side_by_side(const float* x, int64_t step, int64_t, int64_t p, int64_t rows, float* to) {
  const float* from = x + p * step;
  if (rows < 4) return static_cast<void>(std::copy(from, from + rows, to));
  if (rows < eight)
    return static_cast<void>((four(to) = four(from), four(to + rows - 4) = four(from + rows - 4)));
  for (int64_t i = 0; i + eight < rows; i += eight) eight_units(from + i, to + i);
  eight_units(from + rows - eight, to + rows - eight);
}
inline void units_side_by_side(const bf16* x, int64_t step, int64_t k, int64_t p, int64_t rows, Pair* to) {
  const bf16 *first = x + 2 * p * step, *second = first + step;
  if (2 * p + 1 >= k || rows < eight) {
    for (int64_t i = 0; i < rows; ++i) {
      const uint16_t beyond = 0;
      to[i] = {first[i].bits, 2 * p + 1 < k ? second[i].bits : beyond};
    }
    return;
  }
  for (int64_t i = 0; i + eight < rows; i += eight) eight_units(first + i, second + i, to + i);
  eight_units(first + rows - eight, second + rows - eight, to + rows - eight);
}

// The sums of the numbers in a panel's columns are added to sums, first those of the panel by themselves,
// since a chain of all rows would lose digits.
template <int width, class Unit>
void add_sums(int64_t units, int64_t columns, const Unit* panel, double* sums) {
  float here[width] = {};
  for (int64_t p = 0; p < units; ++p)
    for (int column = 0; column < width; ++column) {
      const Unit x = panel[p * width + column];
      if constexpr (std::is_same_v<Unit, float>)
        here[column] += x;
      else
        here[column] +=
            std::bit_cast<float>(uint32_t{x.first} << 16) + std::bit_cast<float>(uint32_t{x.second} << 16);
    }
  for (int64_t column = 0; column < columns; ++column) sums[column] += here[column];
}

// Columns j to j + columns of b's rows p to p + k as panels of `units` rows: `width` units each, missing ones
// 0. Rows that are dense are walked some at a time along all panels, so that memory is read in order.
template <int width, class Number, class Unit = UnitOf<Number>>
void pack_b(Matrix<const Number> b, int64_t p, int64_t k, int64_t j, int64_t columns, Unit* panels,
            int64_t units, double* sums) {
  constexpr int64_t some = 16;
  const int64_t here = (k + unit_size<Number> - 1) / unit_size<Number>;
  const auto each_panel = [&](auto&& f) {
    for (int64_t c = 0; c < columns; c += width)
      f(c, std::min<int64_t>(width, columns - c), panels + c * units, b.at(p, j + c));
  };
  each_panel([&](int64_t, int64_t count, Unit* panel, const Number*) {
    std::fill(panel + here * width, panel + units * width, Unit{});
    if (count < width) std::fill(panel, panel + here * width, Unit{});
  });
  if (b.column_stride == 1) {
    for (int64_t first = 0; first < here; first += some)
      each_panel([&](int64_t, int64_t count, Unit* panel, const Number* from) {
        for (int64_t row = first; row < std::min(here, first + some); ++row)
          if (count == width)
            units_side_by_side(from, b.row_stride, k, row, width, panel + row * width);
          else
            units_side_by_side(from, b.row_stride, k, row, count, panel + row * width);
      });
  } else {
    each_panel([&](int64_t, int64_t count, Unit* panel, const Number* from) {
      if (count == width)
        turn(from, b.column_stride, width, k, panel, width);
      else
        turn(from, b.column_stride, count, k, panel, width);
    });
  }
  if (sums)
    each_panel([&](int64_t c, int64_t count, Unit* panel, const Number*) {
      add_sums<width>(here, count, panel, sums + c);
    });
}

// Rows i to i + rows of a, k numbers of each from p, as a panel of `units` for each row: by column, or row
// after row, `row_step` apart. For one of the two a is turned, as its rows or its columns are what lies side
// by side.
template <class Number, class Unit = UnitOf<Number>>
void pack_a(Matrix<const Number> a, int64_t i, int64_t rows, int64_t p, int64_t k, Unit* panel, int64_t units,
            bool by_column, int64_t row_step) {
  const Number* from = a.at(i, p);
  const int64_t step = a.column_stride, here = (k + unit_size<Number> - 1) / unit_size<Number>;
  if (step == 1 && by_column) {
    turn(from, a.row_stride, rows, k, panel, rows);
    std::fill(panel + here * rows, panel + units * rows, Unit{});
  } else if (step == 1) {
    for (int64_t row = 0; row < rows; ++row) {
      Unit* to = panel + row * row_step;
      std::fill(to + here - 1, to + units, Unit{});
      std::memcpy(to, from + row * a.row_stride, sizeof(Number) * k);
    }
  } else if (by_column) {
    for (int64_t unit = 0; unit < here; ++unit)
      units_side_by_side(from, step, k, unit, rows, panel + unit * rows);
    std::fill(panel + here * rows, panel + units * rows, Unit{});
  } else {
    constexpr int64_t most_rows = 32;
    Unit four_units[4 * most_rows] = {};
    for (int64_t unit = 0; unit < units; unit += 4) {
      for (int64_t n = 0; n < 4; ++n)
        if (unit + n < here)
          units_side_by_side(from, step, k, unit + n, rows, four_units + n * most_rows);
        else
          std::fill_n(four_units + n * most_rows, rows, Unit{});
      for (int64_t row = 0; row < rows; row += 4)
        transpose_four(four_units + row, most_rows, panel + row * row_step + unit, row_step);
    }
  }
}

}  // namespace chapbook::cpu
