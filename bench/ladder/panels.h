// What rungs 5 to 7 share: the five loops around a kernel that multiplies two panels (Goto & van de Geijn
// 2008, "Anatomy of high-performance matrix multiplication"). A panel holds as many rows of a, or columns of
// b, as the kernel's tile has, in the order in which the kernel reads them: all of them for k = 0, then for k
// = 1.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace chapbook::ladder {

// `count` rows, or columns, of x as panels of `width` of them; those that are missing in the last one are 0.
// Number (i, p) of x lies at i step + p k_step.
template <int width>
void pack(int64_t count, int64_t k, const float* x, int64_t step, int64_t k_step, float* panels) {
  for (int64_t first = 0; first < count; first += width, panels += width * k) {
    const int64_t here = std::min<int64_t>(width, count - first);
    for (int64_t p = 0; p < k; ++p)
      for (int64_t i = 0; i < width; ++i)
        panels[p * width + i] = i < here ? x[(first + i) * step + p * k_step] : 0.0f;
  }
}

// Memory of this thread for panels, from the start of a cache line.
template <int slot>
float* panel_memory(int64_t count) {
  struct alignas(64) Line {
    float numbers[16];
  };
  thread_local std::vector<Line> memory;
  if (static_cast<int64_t>(memory.size()) * 16 < count) memory.resize((count + 15) / 16);
  return memory.data()->numbers;
}

// y = a b. Kernel::multiply(k, panel of a, panel of b, sums) computes one tile of Kernel::rows x
// Kernel::columns; for_each(count, f) calls f(begin, end) for pieces of 0 to count, in any order.
//
// Of b, a panel stays in the first cache while the tiles down a block of a use it; the block of a stays in
// the second cache, and the block of b in the third.
template <class Kernel, class ForEach>
void multiply_panels(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* y,
                     ForEach&& for_each) {
  constexpr int64_t rows = Kernel::rows, columns = Kernel::columns;
  constexpr int64_t k_block = 384, m_block = 144 / rows * rows, n_block = 1024;
  if (k == 0) std::fill(y, y + m * n, 0.0f);
  float* const b_panels = panel_memory<0>(k_block * n_block);
  for (int64_t j0 = 0; j0 < n; j0 += n_block)
    for (int64_t p0 = 0; p0 < k; p0 += k_block) {
      const int64_t nb = std::min(n_block, n - j0), kb = std::min(k_block, k - p0);
      for_each((nb + columns - 1) / columns, [&](int64_t begin, int64_t end) {
        const int64_t first = begin * columns, count = std::min(nb, end * columns) - first;
        pack<columns>(count, kb, b + p0 * n + j0 + first, 1, n, b_panels + first * kb);
      });
      for_each((m + m_block - 1) / m_block, [&](int64_t begin, int64_t end) {
        float* const a_panels = panel_memory<1>(k_block * m_block);
        for (int64_t i0 = begin * m_block; i0 < std::min(m, end * m_block); i0 += m_block) {
          const int64_t mb = std::min(m_block, m - i0);
          pack<rows>(mb, kb, a + i0 * k + p0, k, 1, a_panels);
          for (int64_t j = 0; j < nb; j += columns)
            for (int64_t i = 0; i < mb; i += rows) {
              alignas(64) float sums[rows][columns];
              Kernel::multiply(kb, a_panels + i * kb, b_panels + j * kb, sums);
              const int64_t width = std::min(columns, nb - j);
              for (int64_t r = 0; r < std::min(rows, mb - i); ++r) {
                float* to = y + (i0 + i + r) * n + j0 + j;
                for (int64_t c = 0; c < width; ++c) to[c] = p0 ? to[c] + sums[r][c] : sums[r][c];
              }
            }
        }
      });
    }
}

// The for_each of one thread.
inline constexpr auto one_by_one = [](int64_t count, auto&& f) { f(int64_t{0}, count); };

}  // namespace chapbook::ladder
