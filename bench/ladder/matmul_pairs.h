// What rungs 8 and 9 share: the loops around a kernel of the cpu backend that multiplies panels of pairs
// (tensor/cpu/gemm_kernel.h). Numbers are rounded to bf16 as they are packed, two that follow each other
// along k into one unit.
#pragma once
#include <algorithm>
#include <cstdint>

#include "tensor/cpu/gemm_kernel.h"
#include "tensor/cpu/loop.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/dtype.h"

namespace chapbook::ladder {

// Units p of `count` rows, or columns, of x: those beyond the end are 0. Number (i, p) lies at i step + p
// k_step; to[i i_step + p p_step] becomes the unit.
inline void pack_pairs(int64_t count, int64_t k, int64_t units, const float* x, int64_t step, int64_t k_step,
                       cpu::Pair* to, int64_t i_step, int64_t p_step) {
  for (int64_t p = 0; p < units; ++p)
    for (int64_t i = 0; i < count; ++i) {
      const auto bits = [&](int64_t q) -> uint16_t {
        return q < k ? bf16(x[i * step + q * k_step]).bits : 0;
      };
      to[i * i_step + p * p_step] = {bits(2 * p), bits(2 * p + 1)};
    }
}

inline void multiply_pairs(const cpu::MicroKernel<cpu::Pair>& kernel, int64_t m, int64_t n, int64_t k,
                           const float* a, const float* b, float* y) {
  constexpr int64_t k_block = 2048, n_block = 1024;
  const int64_t width = kernel.columns;
  if (k == 0) std::fill(y, y + m * n, 0.0f);
  for (int64_t p0 = 0; p0 < k; p0 += k_block) {
    const int64_t kb = std::min(k_block, k - p0);
    const int64_t units = ((kb + 1) / 2 + kernel.k_step - 1) / kernel.k_step * kernel.k_step;
    for (int64_t j0 = 0; j0 < n; j0 += n_block) {
      const int64_t panels = (std::min(n_block, n - j0) + width - 1) / width;
      cpu::Pair* const b_panels = cpu::scratch<struct PairsOfB, cpu::Pair>(panels * width * units);
      std::fill(b_panels, b_panels + panels * width * units, cpu::Pair{});
      parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel)
          pack_pairs(std::min(width, n - j0 - panel * width), kb, units, b + p0 * n + j0 + panel * width, 1,
                     n, b_panels + panel * width * units, 1, width);
      });
      parallel_for((m + kernel.rows - 1) / kernel.rows, 4, [&](int64_t begin, int64_t end) {
        const int64_t a_step = units + 16;  // rows then fall into different sets of the cache
        cpu::Pair* const rows_of_a = cpu::scratch<struct PairsOfA, cpu::Pair>(kernel.rows * a_step);
        float* const sums = cpu::scratch<struct Sums>(kernel.rows * width);
        for (int64_t i = begin * kernel.rows; i < std::min(m, end * kernel.rows); i += kernel.rows) {
          const int64_t rows = std::min<int64_t>(kernel.rows, m - i);
          pack_pairs(rows, kb, units, a + i * k + p0, k, 1, rows_of_a, a_step, 1);
          for (int64_t panel = 0; panel < panels; ++panel) {
            kernel.by_row[rows - 1](units, rows_of_a, a_step, b_panels + panel * width * units, sums, width,
                                    false);
            const int64_t j = j0 + panel * width, columns = std::min(width, std::min(n, j0 + n_block) - j);
            for (int64_t r = 0; r < rows; ++r) {
              float* to = y + (i + r) * n + j;
              for (int64_t c = 0; c < columns; ++c)
                to[c] = p0 ? to[c] + sums[r * width + c] : sums[r * width + c];
            }
          }
        }
      });
    }
  }
}

}  // namespace chapbook::ladder
