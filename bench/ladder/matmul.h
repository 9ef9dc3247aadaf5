// The matrix product from the naive loop to one near the machine's peak: nine rungs, a file each, in order.
// Each does one thing more than the rung before and says what it is for; all compute the same, the last two
// of numbers rounded to bf16.
#pragma once
#include <cstdint>
#include <span>

namespace chapbook::ladder {

// y = a b with a (m, k), b (k, n) and y (m, n), all row by row without gaps; nothing overlaps.
using Matmul = void (*)(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);

struct Rung {
  const char* name;
  Matmul multiply;
  const char* change;  // from the rung before
};

std::span<const Rung> matmul_rungs();
// Those that go on with a and b rounded to bf16, and whether this processor has their instructions; else they
// compute what those do one by one.
struct RungOfHalves : Rung {
  bool (*fast)();
};
std::span<const RungOfHalves> matmul_rungs_of_halves();

void matmul_naive(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_loop_order(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_blocked(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_packed(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_register_tile(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_vectors(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_threads(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_pairs(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);
void matmul_tiles(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y);

}  // namespace chapbook::ladder
