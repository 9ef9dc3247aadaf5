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
#include "tensor/cpu/gemm_pack.h"
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

int64_t divide_up(int64_t x, int64_t by) { return (x + by - 1) / by; }

struct Range {
  int64_t begin, size;
  int64_t end() const { return begin + size; }
};

// `count` things in `parts` nearly equal parts.
struct Split {
  int64_t count, parts;
  Range operator[](int64_t part) const {
    return {count / parts * part + std::min(part, count % parts), count / parts + (part < count % parts)};
  }
};
Split split(int64_t count, int64_t largest) {
  return {count, std::max<int64_t>(1, divide_up(count, largest))};
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

// ---- One product

// A product is cut three times. Columns of y into strips, so that the strip's panels of b fit the last cache;
// k into stretches, so that a panel fits the first; and what is then left, rows and columns of y, into tasks.
struct Product {
  int64_t m, n, k;
  Matrix<const float> a, b;
  Matrix<float> y;
  const Epilogue& epilogue;

  const MicroKernel& kernel = *chosen_kernel();
  const int64_t width = kernel.columns;
  const bool by_row = a.column_stride == 1;
  // Rows of a are read as they lie, unless they lie so far apart that they fall into a few sets of the first
  // cache and drive each other out: at 1,024 numbers apart that costs a quarter of the speed.
  const bool direct = by_row && a.row_stride % 256 != 0;
  const bool accumulate = epilogue.residual && epilogue.residual.data == y.data;
  double* const sums = epilogue.b_sums ? scratch<struct SumsOfB, double>(n) : nullptr;

  const Split stretches = split(k, k_block), tiles = split(m, kernel.rows);
  const Split row_blocks = split(tiles.parts, tiles_at_once);
  // Nothing is shared out where there is little to do at all.
  const bool little = m * std::min(n, columns_at_once) * k < 500000;

  void compute() const {
    if (sums) std::fill(sums, sums + n, 0.0);
    for (int64_t j = 0; j < n; j += columns_at_once) {
      const Strip strip = cut_strip(j);
      for (int64_t stretch = 0; stretch < stretches.parts; ++stretch) {
        pack_strip(strip, stretches[stretch]);
        const int64_t tasks = row_blocks.parts * strip.groups.parts;
        parallel_for(tasks, little ? tasks : 1, [&](int64_t begin, int64_t end) {
          for (int64_t task = begin; task < end; ++task) compute_task(strip, stretch, task);
        });
      }
    }
    for (int64_t j = 0; sums && j < n; ++j) epilogue.b_sums.as<float>()[j] = static_cast<float>(sums[j]);
  }

 private:
  static constexpr int64_t columns_at_once = 4096;  // their panels share the last cache with the rows of a
  static constexpr int64_t tiles_at_once = 8;       // of one task's rows

  // Columns `begin` to `begin` + columns of y, as panels of b; a task computes a group of panels.
  struct Strip {
    int64_t begin, columns;
    float* panels;
    Split groups;
  };

  // Enough tasks that the last one to end is not waited for long.
  Strip cut_strip(int64_t begin) const {
    const int64_t columns = std::min(columns_at_once, n - begin), panels = divide_up(columns, width);
    const int64_t tasks = little ? 1 : 4 * thread_pool().threads();
    return {begin,
            columns,
            scratch<struct PanelsOfB>(panels * width * stretches[0].size),
            {panels, std::clamp<int64_t>(tasks / row_blocks.parts, 1, divide_up(panels, 2))}};
  }

  void pack_strip(const Strip& strip, Range p) const {
    const auto pack = width == 32 ? pack_b<32> : width == 16 ? pack_b<16> : pack_b<8>;
    const int64_t at_once = std::max<int64_t>(1, grain / (width * p.size));
    parallel_for(strip.groups.count, at_once, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin * width; j < std::min(end * width, strip.columns); j += width)
        pack(b, p.begin, p.size, strip.begin + j, std::min(width, strip.columns - j),
             strip.panels + j * p.size, sums ? sums + strip.begin + j : nullptr);
    });
  }

  // A block of rows times a group of panels. The epilogue follows when the last stretch of k has been added.
  void compute_task(const Strip& strip, int64_t stretch, int64_t task) const {
    const Range p = stretches[stretch];
    const bool last = stretch + 1 == stretches.parts;
    const Range block = row_blocks[task % row_blocks.parts], group = strip.groups[task / row_blocks.parts];
    float* const panels_of_a = scratch<struct PanelsOfA>(tiles_at_once * kernel.rows * row_step);
    const auto panel_of_a = [&](int64_t tile) {
      return panels_of_a + (tile - block.begin) * kernel.rows * row_step;
    };
    if (!direct)
      for (int64_t tile = block.begin; tile < block.end(); ++tile)
        pack_a(a, tiles[tile].begin, tiles[tile].size, p.begin, p.size, panel_of_a(tile));
    for (int64_t panel = group.begin; panel < group.end(); ++panel) {
      if (!last) fetch_next(strip, stretches[stretch + 1], task, panel - group.begin, group.size);
      for (int64_t tile = block.begin; tile < block.end(); ++tile) {
        const float* rows = direct ? a.at(tiles[tile].begin, p.begin) : panel_of_a(tile);
        compute_tile(strip, tiles[tile], rows, panel, p.size, stretch > 0 || accumulate);
      }
    }
    if (!last || epilogue.nothing()) return;
    const int64_t first = tiles[block.begin].begin, column = group.begin * width;
    finish(epilogue, y, first, tiles[block.end() - 1].end() - first, strip.begin + column,
           std::min(strip.columns, group.end() * width) - column);
  }

  // One block of y, `i` x a panel's width, += or = rows of a times a panel of b.
  void compute_tile(const Strip& strip, Range i, const float* rows, int64_t panel, int64_t size,
                    bool add) const {
    const TileProduct product = (by_row ? kernel.by_row : kernel.by_column)[i.size - 1];
    const int64_t a_step = direct ? a.row_stride : row_step, j = panel * width;
    const int64_t columns = std::min(width, strip.columns - j);
    const float* panel_of_b = strip.panels + j * size;
    if (columns == width)
      return product(size, rows, a_step, panel_of_b, width, y.at(i.begin, strip.begin + j), y.row_stride,
                     add);
    float corner[14 * 32];  // the block does not fit into y
    product(size, rows, a_step, panel_of_b, width, corner, width, false);
    for (int64_t row = 0; row < i.size; ++row)
      for (int64_t c = 0; c < columns; ++c) {
        float& to = *y.at(i.begin + row, strip.begin + j + c);
        to = add ? to + corner[row * width + c] : corner[row * width + c];
      }
  }

  // While one stretch is computed, memory has time to bring what the next one needs: the task's own rows of
  // a, and its share of what all tasks pack together. `part` of `parts` of that is asked for at a time.
  void fetch_next(const Strip& strip, Range next, int64_t task, int64_t part, int64_t parts) const {
    const Range block = row_blocks[task % row_blocks.parts];
    const int64_t first = tiles[block.begin].begin;
    const Range shared = Split{next.size, row_blocks.parts * strip.groups.parts}[task];
    const Range share = Split{shared.size, parts}[part];
    const int64_t row = next.begin + shared.begin + share.begin;
    if (by_row) {
      const Range own = Split{tiles[block.end() - 1].end() - first, parts}[part];
      fetch(a, first + own.begin, own.size, next.begin, next.size);
    } else {
      fetch({a.data, a.column_stride, 1}, row, share.size, 0, m);
    }
    if (b.column_stride == 1) fetch(b, row, share.size, strip.begin, strip.columns);
  }
};

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
  Product{m, n, k, a, b, y, epilogue}.compute();
}

}  // namespace chapbook::cpu
