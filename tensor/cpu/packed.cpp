// Products with a packed matrix: a is made ready once, then threads share the panels out, and each panel is
// read from memory once for all rows.
#include "tensor/packed.h"

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/gemm_kernel.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/cpu/packed.h"
#include "tensor/cpu/packed_kernel.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

namespace cpu {

namespace {

constexpr int64_t width = PackedMatrix::panel, group = PackedMatrix::group;

// The widest that the product may use (gemm_vectors) and this processor has.
const PackedKernel& kernel() {
  [[maybe_unused]] const std::string_view vectors = gemm_vectors();
#ifdef __x86_64__
  if (vectors == "portable" || vectors.ends_with("as-written")) return packed_portable_kernel;
  if (vectors != "avx2" && __builtin_cpu_supports("avx512vnni")) return packed_avx512_kernel;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return packed_avx2_kernel;
#endif
  return packed_portable_kernel;
}

struct Product {
  int64_t m, n, k;
  const float* a;
  int64_t a_step;
  const View& y;
  const Epilogue& epilogue;
  const PackedKernel& kernel;
  const int64_t most_rows;                                // of a tile of y,
  const int64_t tiles = (m + most_rows - 1) / most_rows;  // which are nearly equal

  const int64_t column = (k + group - 1) / group * group;  // of a panel, with its zeros

  int64_t first(int64_t tile) const { return m * tile / tiles; }

  // panel(number of the panel, tile, rows, where their sums go) computes one block of y.
  template <class F>
  void each_panel(int64_t panel_bytes, F&& panel) const {
    const int64_t panels = (n + width - 1) / width;
    const bool little = panels * panel_bytes < (1 << 16);
    const int64_t at_once = little ? panels : std::max<int64_t>(1, (1 << 16) / panel_bytes);
    parallel_for(panels, at_once, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j)
        for (int64_t tile = 0; tile < tiles; ++tile) {
          alignas(64) float sums[32 * width];
          const int64_t i = first(tile), rows = first(tile + 1) - i;
          panel(j, tile, rows, sums);
          finish(epilogue, {sums, width, 1}, y, i, rows, j * width, std::min(width, n - j * width));
        }
    });
  }

  void halves(const uint16_t* numbers) const {
    const int64_t pairs = (k + 1) / 2;
    float* const rows = scratch<struct RowsSideBySide>(m * pairs * 2);  // of each tile
    parallel_for(tiles, std::max<int64_t>(1, grain / (most_rows * k)), [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        const int64_t i = first(tile), count = first(tile + 1) - i;
        float* const to = rows + i * pairs * 2;
        for (int64_t r = 0; r < count; ++r) {
          for (int64_t p = 0; p < k; ++p) to[p * count + r] = a[(i + r) * a_step + p];
          if (k % 2) to[k * count + r] = 0;
        }
      }
    });
    each_panel(k * width * 2, [&](int64_t j, int64_t tile, int64_t count, float* sums) {
      kernel.halves[count - 1](pairs, rows + first(tile) * pairs * 2, numbers + j * column * width, sums);
    });
  }

  // Both sides in bf16, by the instructions for pairs.
  void in_pairs(const MicroKernel<Pair>& products, const uint16_t* numbers) const {
    const int64_t step = column + 32;  // rows then fall into different sets of the cache
    bf16* const rows = scratch<struct RowsInPairs, bf16>(m * step);
    parallel_for(m, std::max<int64_t>(1, grain / k), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        round_row(a + i * a_step, k, rows + i * step);
        std::fill(rows + i * step + k, rows + i * step + column, bf16{});
      }
    });
    each_panel(k * width * 2, [&](int64_t j, int64_t tile, int64_t count, float* sums) {
      products.by_row[count - 1](column / 2, reinterpret_cast<const Pair*>(rows + first(tile) * step),
                                 step / 2, reinterpret_cast<const Pair*>(numbers + j * column * width), sums,
                                 width, false);
    });
  }

  void bytes(const uint8_t* numbers, const float* scales) const {
    const int64_t groups = (k + group - 1) / group;
    int8_t* const whole = scratch<struct WholeNumbers, int8_t>(m * groups * group);
    float* const row_scales = scratch<struct RowScales>(m * groups);
    int32_t* const begins = scratch<struct Begins, int32_t>(m * groups);
    parallel_for(m, std::max<int64_t>(1, grain / k), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t g = 0; g < groups; ++g) {
          const float* x = a + i * a_step + g * group;
          float last[group] = {};
          if (const int64_t there = k - g * group; there < group) {
            std::copy(x, x + there, last);
            x = last;
          }
          int8_t* to = whole + (i * groups + g) * group;
          row_scales[i * groups + g] = quantise(group, x, to, 0);
          int32_t sum = 0;
          for (int64_t p = 0; p < group; ++p) sum += to[p];
          begins[i * groups + g] = -128 * sum;
        }
    });
    each_panel(groups * width * (group + 4), [&](int64_t j, int64_t tile, int64_t count, float* sums) {
      const int64_t i = first(tile);
      kernel.bytes[count - 1](
          groups, {whole + i * groups * group, row_scales + i * groups, begins + i * groups, groups * group},
          numbers + j * groups * group * width, scales + j * groups * width, sums);
    });
  }
};

}  // namespace

std::string_view packed_vectors() { return kernel().name; }

}  // namespace cpu

void CpuBackend::packed_matmul(In a, In numbers, In scales, In bias, In residual, Out y) {
  if (!cpu::dense_rows({a, bias, residual, y}) || !numbers.contiguous() || (scales && !scales.contiguous()))
    return reference_backend().packed_matmul(a, numbers, scales, bias, residual, y);
  if (y.count() == 0) return;
  const Epilogue epilogue{.bias = bias, .residual = residual};
  const cpu::PackedKernel& kernel = cpu::kernel();
  const cpu::MicroKernel<cpu::Pair>* const pairs =
      scales || y.shape[0] <= few_rows ? nullptr : cpu::kernel_of_pairs();
  const cpu::Product product{y.shape[0],    y.shape[1],   a.shape[1],
                             a.as<float>(), a.strides[0], y,
                             epilogue,      kernel,       pairs ? pairs->rows : kernel.rows};
  if (pairs)
    product.in_pairs(*pairs, numbers.as<uint16_t>());
  else if (scales)
    product.bytes(numbers.as<uint8_t>(), scales.as<float>());
  else
    product.halves(numbers.as<uint16_t>());
}

}  // namespace chapbook
