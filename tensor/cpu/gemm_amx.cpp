// Tiles by Intel's AMX. A process asks the system once for their registers, 8 KiB a thread; each thread says
// how many rows and bytes a tile has before it uses them.
#ifdef __x86_64__
#include <cpuid.h>

#include "tensor/cpu/gemm_tiles.h"
#include "tensor/os/system.h"

namespace chapbook::cpu {
namespace {

struct Amx {
  // Rows of tiles 0, 1, 4 and of tiles 2, 3, 5. Tiles of b have 16. All rows have 16 units of 4 bytes.
  static void configure(int upper, int lower) {
    thread_local int now = 0;
    const int wanted = upper * 32 + lower;
    if (now == wanted) return;
    now = wanted;
    struct alignas(64) {
      uint8_t palette = 1, first_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16];
    } tiles;
    const int rows[16] = {upper, upper, lower, lower, upper, lower, 16, 16};
    for (int t = 0; t < 16; ++t) tiles.rows[t] = static_cast<uint8_t>(rows[t]);
    asm volatile("ldtilecfg %0" ::"m"(tiles));
  }
  template <int t, class Unit>
  static void load(const Unit* from, int64_t step) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(step * 4), "i"(t) : "memory");
  }
  template <int t>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(t));
  }
  template <int sums, int a, int b>
  static void dot() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(a), "i"(b));
  }
  template <int t>
  static void store(float* to, int64_t step) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(step * 4), "i"(t) : "memory");
  }
};

}  // namespace

constinit const MicroKernel<Pair> amx_kernel = TileTable<Amx>::kernel;

// Bits of leaf 7: 22 for products of bf16, 24 for tiles.
bool has_amx() {
  static const bool granted = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1) && os::grants_tiles();
  }();
  return granted;
}

}  // namespace chapbook::cpu
#else
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::cpu {
constinit const MicroKernel<Pair> amx_kernel = {};
bool has_amx() { return false; }
}  // namespace chapbook::cpu
#endif
