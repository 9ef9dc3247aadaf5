// A matrix as generation reads it: laid out once for many products of few rows, in fewer bits. A token costs
// reading every weight once, so half the bytes are half the time.
#pragma once
#include <bit>
#include <cmath>
#include <limits>

#include "tensor/tensor.h"

namespace chapbook {

enum class Packing : uint8_t { bf16, int8 };
std::string_view name_of(Packing packing);

// Columns lie in panels of 32 that are read from end to end, the last one filled up with zeros. As bf16, a
// panel holds pairs of numbers that follow each other in a column, 32 columns' side by side, as products of
// pairs take them; zeros fill a column up to a multiple of 32. As int8, a group is 32 numbers of a column
// that share an f32 scale, the largest of them over 127, as in llama.cpp's Q8_0; a panel has 32 columns'
// groups side by side, and in them four numbers of each column, as dot products of bytes take them:
//   bf16: b[p, j] = numbers[j / 32, p / 2, j % 32, p % 2]
//   int8: b[p, j] = scales[j / 32, p / 32, j % 32] (numbers[j / 32, p / 32, p % 32 / 4, j % 32, p % 4] - 128)
struct PackedMatrix {
  static constexpr int64_t panel = 32, group = 32;

  Packing packing = Packing::bf16;
  int64_t rows = 0, columns = 0;
  Tensor numbers;  // bf16: (panels, pairs, 32, 2) of bf16; int8: (panels, groups, 8, 32, 4) of u8
  Tensor scales;   // int8: (panels, groups, 32) of f32; a group with a number that is not finite has NaN

  explicit operator bool() const { return static_cast<bool>(numbers); }
  int64_t bytes() const;
};

PackedMatrix pack(const Tensor& b, Packing packing);  // (k, n) f32, on its backend
Tensor unpack(const PackedMatrix& b);                 // the numbers it holds: (k, n) f32

// y = a b + bias + residual for a (..., k), bias (n) and residual (..., n), f32, of which the last two may be
// missing. For int8, each group of 32 numbers of a row of a is rounded to whole numbers of a largest over 127
// first; products of groups are whole numbers, and their sums are added in the order of k:
//   y = fma(whole, scale of a's group * scale of b's, y)
// and then bias and residual, all in f32, so that every backend and processor gives the same bits. A row of a
// has the same bits with any others; for bf16, among up to few_rows in all. Of more, which are a prompt's, a
// processor with instructions for pairs of bf16 rounds the numbers to bf16 too.
Tensor matmul(const Tensor& a, const PackedMatrix& b, const Tensor& bias = {}, const Tensor& residual = {});

// How a group of numbers becomes whole ones, for both sides of a product. Where one is not finite, NaN
// and zeros.
template <class Byte>
float quantise(int64_t n, const float* x, Byte* whole, int zero) {
  uint32_t most = 0;  // as bits, magnitudes are in order, infinity and NaN above all
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  const float largest = std::bit_cast<float>(most);
  const bool finite = most < 0x7f800000u, zeros = !finite || largest < 1e-30f;
  const float times = zeros ? 0 : 127 / largest;
  constexpr float round = 0x1.8p23f;  // what is added to it ends at whole numbers, ties to even
  for (int64_t i = 0; i < n; ++i) {
    const float rounded = std::fma(zeros ? 0 : x[i], times, round);
    whole[i] = static_cast<Byte>(std::bit_cast<int32_t>(rounded) - std::bit_cast<int32_t>(round) + zero);
  }
  return !finite ? std::numeric_limits<float>::quiet_NaN() : zeros ? 0 : largest / 127;
}

}  // namespace chapbook
