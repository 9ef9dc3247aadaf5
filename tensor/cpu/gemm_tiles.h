// The product's innermost loop for tiles: registers of 16 rows of 16 units. Four hold 32 x 32 sums, two take
// 32 rows of a, two 32 columns of b; each tile that is loaded is multiplied twice. `Tiles` is the
// instructions (gemm_amx.cpp) or their meaning (gemm_as_written.cpp).
#pragma once
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::cpu {
namespace {

template <class Tiles, int rows>
void tile_product(int64_t k, const Pair* a, int64_t a_step, const Pair* b, float* y, int64_t y_step,
                  bool add) {
  constexpr int64_t columns = 32;  // of a panel
  constexpr bool two = rows > 16;  // tiles of rows: numbers 0, 1 and 4; the lower one has 2, 3 and 5
  Tiles::configure(two ? 16 : rows, two ? rows - 16 : 1);
  const auto each_sum = [&](auto&& f) {
    f.template operator()<0>(y);
    f.template operator()<1>(y + 16);
    if constexpr (two) f.template operator()<2>(y + 16 * y_step);
    if constexpr (two) f.template operator()<3>(y + 16 * y_step + 16);
  };
  each_sum([&]<int t>(const float* from) {
    if (add)
      Tiles::template load<t>(from, y_step);
    else
      Tiles::template zero<t>();
  });
  for (int64_t p = 0; p < k; p += 16, b += 16 * columns) {
    Tiles::template load<6>(b, columns);
    Tiles::template load<4>(a + p, a_step);
    Tiles::template dot<0, 4, 6>();
    Tiles::template load<7>(b + 16, columns);
    Tiles::template dot<1, 4, 7>();
    if constexpr (two) {
      Tiles::template load<5>(a + 16 * a_step + p, a_step);
      Tiles::template dot<2, 5, 6>();
      Tiles::template dot<3, 5, 7>();
    }
  }
  each_sum([&]<int t>(float* to) { Tiles::template store<t>(to, y_step); });
}

template <class Tiles>
struct TileTable {
  template <int... r>
  static constexpr std::array<TileProduct<Pair>, sizeof...(r)> of(std::integer_sequence<int, r...>) {
    return {tile_product<Tiles, r + 1>...};
  }
  static constexpr auto by_row = of(std::make_integer_sequence<int, 32>());
  static constexpr MicroKernel<Pair> kernel = {32, 32, 16, by_row.data(), nullptr};
};

}  // namespace
}  // namespace chapbook::cpu
