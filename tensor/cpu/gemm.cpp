// How the product uses the caches (Goto & van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication"). For each stretch of k, b is copied once into panels as wide as the kernel's block, by all
// threads together; then each thread takes blocks of rows of a, copies them into panels of its own where they
// do not lie well, and runs the kernel over every pair of panels. A panel of b is read from the first or
// second cache for all rows of a block, and the rows of the block stay in the second cache for all panels of
// b.
//
// Against one-threaded OpenBLAS on tiles of y this saves packing b again for every tile, and the epilogue
// finds its numbers in the first cache.
#include "tensor/cpu/gemm.h"

#include <cstdlib>

#include "tensor/cpu/gemm_kernel.h"
#include "tensor/cpu/loop.h"

namespace chapbook::cpu {

namespace {

bool works(const MicroKernel& kernel) {
#ifdef __x86_64__
  if (&kernel == &avx512_kernel) return __builtin_cpu_supports("avx512f");
  if (&kernel == &avx2_kernel) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return &kernel == &portable_kernel;
}

// The one of that name, or the widest when there is no name.
const MicroKernel* find_kernel(std::string_view name, std::string_view where) {
  for (const MicroKernel* kernel : {&avx512_kernel, &avx2_kernel, &portable_kernel}) {
    if (!name.empty() && name != kernel->name) continue;
    if (works(*kernel)) return kernel;
    check(name.empty(), "{}: this processor has no {}", where, name);
  }
  fail("{}: '{}' is not one of avx512, avx2, portable", where, name);
}

const MicroKernel*& chosen_kernel() {
  static const MicroKernel* chosen = [] {
    const char* name = std::getenv("CHAPBOOK_VECTORS");
    return find_kernel(name ? name : "", "CHAPBOOK_VECTORS");
  }();
  return chosen;
}

constexpr int64_t k_block = 512;  // numbers of a row that are multiplied before going to the next rows
constexpr int64_t row_step = k_block + 16;  // rows of a panel of a then fall into different sets

int64_t divide_up(int64_t x, int64_t by) { return (x + by - 1) / by; }

// `count` things in `parts` nearly equal parts.
struct Split {
  int64_t count, parts;
  int64_t begin(int64_t part) const { return count / parts * part + std::min(part, count % parts); }
  int64_t size(int64_t part) const { return begin(part + 1) - begin(part); }
};
Split split(int64_t count, int64_t largest) {
  return {count, std::max<int64_t>(1, divide_up(count, largest))};
}

typedef float Four __attribute__((vector_size(16), aligned(4)));
Four& four(float* x) { return *reinterpret_cast<Four*>(x); }
const Four& four(const float* x) { return *reinterpret_cast<const Four*>(x); }

// to[p step + i] = from[i row + p] for i < 4 and p < 4.
void transpose_four(const float* from, int64_t row, float* to, int64_t step) {
  using Index = int __attribute__((vector_size(16)));
  const Four a = four(from), b = four(from + row), c = four(from + 2 * row), d = four(from + 3 * row);
  const Four ab_low = __builtin_shuffle(a, b, Index{0, 4, 1, 5}),
             ab_high = __builtin_shuffle(a, b, Index{2, 6, 3, 7});
  const Four cd_low = __builtin_shuffle(c, d, Index{0, 4, 1, 5}),
             cd_high = __builtin_shuffle(c, d, Index{2, 6, 3, 7});
  four(to) = __builtin_shuffle(ab_low, cd_low, Index{0, 1, 4, 5});
  four(to + step) = __builtin_shuffle(ab_low, cd_low, Index{2, 3, 6, 7});
  four(to + 2 * step) = __builtin_shuffle(ab_high, cd_high, Index{0, 1, 4, 5});
  four(to + 3 * step) = __builtin_shuffle(ab_high, cd_high, Index{2, 3, 6, 7});
}

// Columns j to j + columns of b's rows p to p + k as a panel: `width` numbers for each row, missing ones 0.
// With sums, adds up the columns on the way.
template <int width>
void pack_b(Matrix<const float> b, int64_t p, int64_t k, int64_t j, int64_t columns, float* panel,
            float* sums) {
  const float* from = b.at(p, j);
  if (columns < width) {
    std::fill(panel, panel + k * width, 0.0f);
    for (int64_t row = 0; row < k; ++row)
      for (int64_t column = 0; column < columns; ++column)
        panel[row * width + column] = from[row * b.row_stride + column * b.column_stride];
  } else if (b.column_stride == 1) {
    for (int64_t row = 0; row < k; ++row) {
      const float* x = from + row * b.row_stride;
      std::copy(x, x + width, panel + row * width);
    }
  } else {
    const int64_t whole = k / 4 * 4;
    for (int64_t row = 0; row < whole; row += 4)
      for (int column = 0; column < width; column += 4)
        transpose_four(from + row + column * b.column_stride, b.column_stride, panel + row * width + column,
                       width);
    for (int64_t row = whole; row < k; ++row)
      for (int column = 0; column < width; ++column)
        panel[row * width + column] = from[row + column * b.column_stride];
  }
  if (!sums) return;
  for (int64_t row = 0; row < k; ++row)
    for (int64_t column = 0; column < columns; ++column) sums[column] += panel[row * width + column];
}

// Rows i to i + rows of a, k numbers of each from p, as a panel: row after row, row_step apart, or by column.
void pack_a(Matrix<const float> a, int64_t i, int64_t rows, int64_t p, int64_t k, float* panel) {
  const float* from = a.at(i, p);
  const int64_t step = a.column_stride;
  if (step == 1) {
    for (int64_t row = 0; row < rows; ++row)
      std::copy(from + row * a.row_stride, from + row * a.row_stride + k, panel + row * row_step);
  } else if (a.row_stride == 1 && rows >= 8 && rows <= 16) {  // two copies of eight numbers that may overlap
    for (int64_t column = 0; column < k; ++column)
      for (const int64_t first : {int64_t{0}, rows - 8})
        std::copy(from + column * step + first, from + column * step + first + 8,
                  panel + column * rows + first);
  } else {
    for (int64_t column = 0; column < k; ++column)
      for (int64_t row = 0; row < rows; ++row)
        panel[column * rows + row] = from[row * a.row_stride + column * step];
  }
}

// Asks for columns `column` to `column` + columns of some rows of x, which will be needed soon.
void fetch(Matrix<const float> x, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  for (int64_t i = row; i < row + rows; ++i) cpu::fetch(x.at(i, column), columns);
}

template <class F>
void finish_rows(const Epilogue& epilogue, Matrix<float> y, int64_t i, int64_t rows, int64_t j,
                 int64_t columns, F&& formula) {
  const auto row_of = [&](const View& x, int64_t row) { return x.as<float>() + row * x.strides[0] + j; };
  for (int64_t row = i; row < i + rows; ++row) {
    float* to = y.at(row, j);
    const float* bias = epilogue.bias ? epilogue.bias.as<float>() + j : nullptr;
    float* before = epilogue.before ? row_of(epilogue.before, row) : nullptr;
    if (bias)
      for (int64_t c = 0; c < columns; ++c) to[c] += bias[c];
    formula(to, before);
    if (epilogue.residual && epilogue.residual.data != y.data) {
      const float* residual = row_of(epilogue.residual, row);
#pragma GCC ivdep
      for (int64_t c = 0; c < columns; ++c) to[c] += residual[c];
    }
  }
}

}  // namespace

std::string_view gemm_vectors() { return chosen_kernel()->name; }
void set_gemm_vectors(std::string_view name) { chosen_kernel() = find_kernel(name, "vectors"); }

void finish(const Epilogue& epilogue, Matrix<float> y, int64_t i, int64_t rows, int64_t j, int64_t columns) {
  switch (epilogue.activation) {
    case Activation::none:
      return finish_rows(epilogue, y, i, rows, j, columns, [](float*, float*) {});
    case Activation::gelu:
      return finish_rows(epilogue, y, i, rows, j, columns, [columns](float* to, float* before) {
        if (before) std::copy(to, to + columns, before);
#pragma GCC ivdep
        for (int64_t c = 0; c < columns; ++c) to[c] = math::gelu(to[c]);
      });
    case Activation::gelu_backward:
      return finish_rows(epilogue, y, i, rows, j, columns, [columns](float* to, float* before) {
#pragma GCC ivdep
        for (int64_t c = 0; c < columns; ++c) to[c] *= math::gelu_derivative(before[c]);
      });
  }
}

void gemm(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b, Matrix<float> y,
          const Epilogue& epilogue) {
  const MicroKernel& kernel = *chosen_kernel();
  const bool by_row = a.column_stride == 1;
  // Rows of a are read as they lie, unless they lie so far apart that they fall into a few sets of the first
  // cache and drive each other out: at 1,024 numbers apart that costs a quarter of the speed.
  const bool direct = by_row && a.row_stride % 256 != 0;
  const int64_t a_step = direct ? a.row_stride : row_step;
  const Multiply* multiply = by_row ? kernel.by_row : kernel.by_column;
  const int64_t width = kernel.columns;
  const auto pack = width == 32 ? pack_b<32> : width == 16 ? pack_b<16> : pack_b<8>;
  const bool accumulate = epilogue.residual && epilogue.residual.data == y.data;
  float* sums = epilogue.b_sums ? epilogue.b_sums.as<float>() : nullptr;
  if (sums) std::fill(sums, sums + n, 0.0f);

  constexpr int64_t columns_at_once = 4096;  // their panels share the last cache with the rows of a
  const Split ks = split(k, k_block), tiles = split(m, kernel.rows);
  const Split row_blocks = split(tiles.parts, 8);
  for (int64_t j0 = 0; j0 < n; j0 += columns_at_once) {
    const int64_t columns = std::min(columns_at_once, n - j0), panels = divide_up(columns, width);
    float* const b_panels = scratch<14>(panels * width * ks.size(0));
    // Enough tasks that the last one to end is not waited for long, unless there is little to do at all.
    const bool little = m * columns * k < 500000;
    const int64_t tasks = little ? 1 : 4 * thread_pool().threads();
    const Split column_blocks{panels, std::clamp<int64_t>(tasks / row_blocks.parts, 1, divide_up(panels, 2))};
    for (int64_t stretch = 0; stretch < ks.parts; ++stretch) {
      const int64_t p = ks.begin(stretch), kb = ks.size(stretch);
      const bool add = stretch > 0 || accumulate, last = stretch + 1 == ks.parts;
      parallel_for(panels, std::max<int64_t>(1, grain / (width * kb)), [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel) {
          const int64_t j = panel * width;
          pack(b, p, kb, j0 + j, std::min(width, columns - j), b_panels + j * kb,
               sums ? sums + j0 + j : nullptr);
        }
      });
      const auto compute = [&](int64_t task) {
        const int64_t block = task % row_blocks.parts, group = task / row_blocks.parts;
        const int64_t first_tile = row_blocks.begin(block), last_tile = first_tile + row_blocks.size(block);
        float* const a_panels = scratch<15>(8 * kernel.rows * row_step);
        const int64_t a_panel = kernel.rows * row_step;
        for (int64_t tile = first_tile; tile < last_tile; ++tile)
          if (!direct)
            pack_a(a, tiles.begin(tile), tiles.size(tile), p, kb, a_panels + (tile - first_tile) * a_panel);
        // While this is computed, memory has time to bring what the next stretch needs: the task's own rows
        // of a, and its share of what all tasks pack together.
        const int64_t group_panels = column_blocks.size(group), first_row = tiles.begin(first_tile);
        const int64_t next = p + kb, next_size = last ? 0 : ks.size(stretch + 1);
        const Split own{last ? 0 : tiles.begin(last_tile) - first_row, group_panels};
        const Split shares{next_size, row_blocks.parts * column_blocks.parts};
        const Split share{shares.size(task), group_panels};
        float corner[14 * 32];  // for a block that does not fit into y
        for (int64_t panel = column_blocks.begin(group); panel < column_blocks.begin(group + 1); ++panel) {
          const int64_t part = panel - column_blocks.begin(group);
          const int64_t shared_row = next + shares.begin(task) + share.begin(part);
          if (by_row)
            fetch(a, first_row + own.begin(part), own.size(part), next, next_size);
          else
            fetch({a.data, a.column_stride, 1}, shared_row, share.size(part), 0, m);
          if (b.column_stride == 1) fetch(b, shared_row, share.size(part), j0, columns);
          const int64_t j = panel * width, here = std::min(width, columns - j);
          for (int64_t tile = first_tile; tile < last_tile; ++tile) {
            const int64_t i = tiles.begin(tile), rows = tiles.size(tile);
            const Multiply run = multiply[rows - 1];
            const float* a_rows =
                direct ? a.at(tiles.begin(tile), p) : a_panels + (tile - first_tile) * a_panel;
            if (here == width) {
              run(kb, a_rows, a_step, b_panels + j * kb, width, y.at(i, j0 + j), y.row_stride, add);
            } else {
              run(kb, a_rows, a_step, b_panels + j * kb, width, corner, width, false);
              for (int64_t row = 0; row < rows; ++row)
                for (int64_t c = 0; c < here; ++c) {
                  float& to = *y.at(i + row, j0 + j + c);
                  to = add ? to + corner[row * width + c] : corner[row * width + c];
                }
            }
          }
        }
        if (!last || epilogue.nothing()) return;
        const int64_t first = tiles.begin(first_tile), from = column_blocks.begin(group) * width;
        finish(epilogue, y, first, tiles.begin(last_tile) - first, j0 + from,
               std::min(columns, column_blocks.begin(group + 1) * width) - from);
      };
      const int64_t count = row_blocks.parts * column_blocks.parts;
      parallel_for(count, little ? count : 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) compute(task);
      });
    }
  }
}

}  // namespace chapbook::cpu
