#include "bench/ladder/matmul.h"
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::ladder {

std::span<const Rung> matmul_rungs() {
  static constexpr Rung rungs[] = {
      {"naive", matmul_naive, "the definition: a dot product for each number of y"},
      {"loop order", matmul_loop_order, "i, k, j: rows of b and y are read as they lie"},
      {"blocked", matmul_blocked, "a block of b that fits the cache serves every row of a"},
      {"packed", matmul_packed, "the block is copied, so that it lies in one piece"},
      {"register tile", matmul_register_tile, "a tile of y stays in registers for a whole block of k"},
      {"vectors", matmul_vectors, "the tile is written in vectors and fills the register file"},
      {"threads", matmul_threads, "blocks of rows are shared out"},
  };
  return rungs;
}

std::span<const RungOfHalves> matmul_rungs_of_halves() {
  static constexpr RungOfHalves rungs[] = {
      {{"pairs", matmul_pairs, "numbers are rounded to bf16, and two multiplied at once"},
       cpu::has_avx512bf16},
      {{"tiles", matmul_tiles, "an instruction multiplies 16 rows by 16 columns of 32 numbers"},
       cpu::has_amx},
  };
  return rungs;
}

}  // namespace chapbook::ladder
