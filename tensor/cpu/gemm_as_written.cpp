// What the instructions for pairs of bf16 compute, in plain lines: tests hold gemm_avx512bf16.cpp and
// gemm_amx.cpp to it bit for bit, and run it where there is no such processor. Numbers below 2^-126 count as
// 0, in operands and results (Intel, "Architecture Instruction Set Extensions Programming Reference",
// VDPBF16PS and TDPBF16PS; an AMD Zen 4 gave these bits in six million random sums).
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tensor/cpu/gemm_tiles.h"

namespace chapbook::cpu {
namespace {

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
float widened(uint16_t bits) { return flushed(std::bit_cast<float>(static_cast<uint32_t>(bits) << 16)); }

// sum + a b, rounded once.
float add_product(float sum, uint16_t a, uint16_t b) {
  return flushed(std::fma(widened(a), widened(b), flushed(sum)));
}

// vdpbf16ps: the second product is added first.
struct DotOfPairs {
  using Unit = Pair;
  typedef float Vector __attribute__((vector_size(64), aligned(4)));
  struct Units {
    Pair lane[16];
  };
  static constexpr int lanes = 16;
  static void multiply_add(Vector& sums, Pair a, const Units& b) {
    for (int j = 0; j < lanes; ++j)
      sums[j] = add_product(add_product(sums[j], a.second, b.lane[j].second), a.first, b.lane[j].first);
  }
};

// Tiles: eight of them, of 16 rows of 16 units.
struct Tiles {
  struct Registers {
    int rows[8];
    uint32_t tile[8][16][16];
  };
  static Registers& now() {
    thread_local Registers registers;
    return registers;
  }
  static void configure(int upper, int lower) {
    const int rows[8] = {upper, upper, lower, lower, upper, lower, 16, 16};
    std::copy(rows, rows + 8, now().rows);
  }
  template <int t, class Unit>
  static void load(const Unit* from, int64_t step) {
    for (int row = 0; row < now().rows[t]; ++row) std::memcpy(now().tile[t][row], from + row * step, 64);
  }
  template <int t>
  static void zero() {
    for (auto& row : now().tile[t]) std::fill(row, row + 16, 0u);
  }
  // tdpbf16ps: the first and the second products of all pairs are added up apart, and then to the sum.
  template <int sums, int a, int b>
  static void dot() {
    for (int row = 0; row < now().rows[sums]; ++row)
      for (int column = 0; column < 16; ++column) {
        float first = 0, second = 0;
        for (int p = 0; p < 16; ++p) {
          const Pair left = std::bit_cast<Pair>(now().tile[a][row][p]),
                     right = std::bit_cast<Pair>(now().tile[b][p][column]);
          first = add_product(first, left.first, right.first);
          second = add_product(second, left.second, right.second);
        }
        uint32_t& sum = now().tile[sums][row][column];
        sum = std::bit_cast<uint32_t>(flushed(flushed(std::bit_cast<float>(sum)) + flushed(first + second)));
      }
  }
  template <int t>
  static void store(float* to, int64_t step) {
    for (int row = 0; row < now().rows[t]; ++row) std::memcpy(to + row * step, now().tile[t][row], 64);
  }
};

}  // namespace

constinit const MicroKernel<Pair> avx512bf16_as_written_kernel = Tables<DotOfPairs, 2, 14>::kernel;
constinit const MicroKernel<Pair> amx_as_written_kernel = TileTable<Tiles>::kernel;

}  // namespace chapbook::cpu
