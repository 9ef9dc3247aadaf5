// The innermost loops of products with a packed matrix (tensor/packed.h): a few rows of a and a panel of 32
// columns, whose sums stay in registers from the panel's first byte to its last. Compiled once for every kind
// of processor (packed_avx512.cpp, packed_avx2.cpp, packed_portable.cpp), which says in a `Lanes` what its
// vectors are; so, as in gemm_kernel.h, nothing here may be shared between those files.
#pragma once
#include <array>
#include <cstdint>
#include <utility>

namespace chapbook::cpu {

// y (rows, 32) = a times a panel of pairs of bf16; a holds all rows' numbers side by side for each of 2
// pairs.
using PanelOfHalves = void (*)(int64_t pairs, const float* a, const uint16_t* panel, float* y);

// Rows of a as whole numbers: `step` numbers apart, with a scale for each group of 32, and what the sum of a
// group begins at, -128 times the sum of its numbers, since those of the panel are 128 too large.
struct WholeRows {
  const int8_t* numbers;
  const float* scales;
  const int32_t* begins;
  int64_t step;
};
using PanelOfBytes = void (*)(int64_t groups, WholeRows a, const uint8_t* panel, const float* scales,
                              float* y);

struct PackedKernel {
  const char* name;
  int rows;                     // the most of a block
  const PanelOfHalves* halves;  // for 1, 2, ..., rows
  const PanelOfBytes* bytes;
};

extern const PackedKernel packed_avx512_kernel, packed_avx2_kernel, packed_portable_kernel;

namespace {

// Lanes: `width` numbers of f32 (Floats) or i32 (Ints), with dot and fma. Of a panel, two vectors of
// columns at a time.
template <class Lanes>
struct Panel {
  using Floats = typename Lanes::Floats;
  using Ints = typename Lanes::Ints;
  static constexpr int width = Lanes::width, columns = 32, group = 32, passes = columns / (2 * width);
  static constexpr int32_t high = static_cast<int32_t>(0xffff0000);

  template <int rows>
  static void halves(int64_t pairs, const float* a, const uint16_t* panel, float* y) {
    for (int pass = 0; pass < passes; ++pass) {
      Floats sums[rows][2] = {}, seconds[rows][2] = {};  // of the pairs' first and second numbers
      const uint16_t* b = panel + pass * 4 * width;
      for (int64_t p = 0; p < pairs; ++p, b += 2 * columns) {
        Ints left, right;
        __builtin_memcpy(&left, b, sizeof(left)), __builtin_memcpy(&right, b + 2 * width, sizeof(right));
        for (int r = 0; r < rows; ++r) {
          const float first = a[2 * p * rows + r], second = a[(2 * p + 1) * rows + r];
          sums[r][0] += first * (Floats)(left << 16);  // a bf16 is the upper half of an f32
          sums[r][1] += first * (Floats)(right << 16);
          seconds[r][0] += second * (Floats)(left & high);
          seconds[r][1] += second * (Floats)(right & high);
        }
      }
      for (int r = 0; r < rows; ++r)
        for (int v = 0; v < 2; ++v) sums[r][v] += seconds[r][v];
      write<rows>(sums, y + pass * 2 * width);
    }
  }

  template <int rows>
  static void bytes(int64_t groups, WholeRows a, const uint8_t* panel, const float* scales, float* y) {
    const int64_t groups_apart = a.step / group;
    for (int pass = 0; pass < passes; ++pass) {
      Floats sums[rows][2] = {};
      for (int64_t g = 0; g < groups; ++g) {
        const uint8_t* b = panel + g * group * columns + pass * 2 * width * 4;
        const int8_t* x = a.numbers + g * group;
        Ints whole[rows][2];
        for (int r = 0; r < rows; ++r) whole[r][0] = whole[r][1] = Ints{} + a.begins[r * groups_apart + g];
        for (int four = 0; four < group / 4; ++four, b += columns * 4)
          for (int r = 0; r < rows; ++r) {
            whole[r][0] = Lanes::dot(whole[r][0], b, x + r * a.step + four * 4);
            whole[r][1] = Lanes::dot(whole[r][1], b + width * 4, x + r * a.step + four * 4);
          }
        const float* scale = scales + g * columns + pass * 2 * width;
        for (int r = 0; r < rows; ++r)
          for (int v = 0; v < 2; ++v) {
            const Floats both =
                a.scales[r * groups_apart + g] * *reinterpret_cast<const Floats*>(scale + v * width);
            sums[r][v] = Lanes::fma(__builtin_convertvector(whole[r][v], Floats), both, sums[r][v]);
          }
      }
      write<rows>(sums, y + pass * 2 * width);
    }
  }

  template <int rows>
  static void write(const Floats (&sums)[rows][2], float* y) {
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < 2; ++v) *reinterpret_cast<Floats*>(y + r * columns + v * width) = sums[r][v];
  }

  template <int... r>
  static constexpr std::array<PanelOfHalves, sizeof...(r)> halves_table(std::integer_sequence<int, r...>) {
    return {halves<r + 1>...};
  }
  template <int... r>
  static constexpr std::array<PanelOfBytes, sizeof...(r)> bytes_table(std::integer_sequence<int, r...>) {
    return {bytes<r + 1>...};
  }
};

template <class Lanes, int rows>
struct PackedTables {
  static constexpr auto all = std::make_integer_sequence<int, rows>();
  static constexpr auto halves = Panel<Lanes>::halves_table(all);
  static constexpr auto bytes = Panel<Lanes>::bytes_table(all);
  static constexpr PackedKernel kernel(const char* name) { return {name, rows, halves.data(), bytes.data()}; }
};

}  // namespace
}  // namespace chapbook::cpu
