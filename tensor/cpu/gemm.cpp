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

#include "tensor/cpu/gemm_kernel.h"
#include "tensor/cpu/gemm_pack.h"
#include "tensor/cpu/loop.h"
#include "tensor/cpu/processors.h"

namespace chapbook::cpu {

namespace {

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
template <class Number>
void fetch(Matrix<const Number> x, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  for (int64_t i = row; i < row + rows; ++i) cpu::fetch(x.at(i, column), columns);
}

// ---- One product

// A product is cut three times. Columns of y into strips, so that the strip's panels of b fit the last cache;
// k into stretches, so that a panel fits the first, or the second; and what is then left, rows and columns of
// y, into tasks.
//
// Sums are f32. Where y is, they are kept in y; else by the task, until it has rounded them, or, if there are
// several stretches, for the whole strip.
template <class Number, class Result>
struct Product {
  using Unit = UnitOf<Number>;
  static constexpr bool floats = std::is_same_v<Number, float>, sums_in_y = std::is_same_v<Result, float>;

  int64_t m, n, k;
  Matrix<const Number> a, b;
  Matrix<Result> y;
  const Epilogue& epilogue;
  const MicroKernel<Unit>& kernel;

  const int64_t width = kernel.columns, step = kernel.k_step * unit_size<Number>;
  // Rows of a are read as they lie, unless they are no whole units, or lie so far apart that they fall into a
  // few sets of the first cache and drive each other out: at 4,096 bytes apart that costs a quarter of the
  // speed. Nor are floats that are used often: the kernel's way by column is faster by more than it costs to
  // turn them.
  const bool by_row = a.column_stride == 1;
  const bool direct = by_row && k % step == 0 && a.row_stride % unit_size<Number> == 0 &&
                      a.row_stride * sizeof(Number) % 1024 != 0 && !(floats && n >= turning_pays);
  const bool by_column = !direct && kernel.by_column && (floats || !by_row);
  const bool accumulate = sums_in_y && epilogue.residual && epilogue.residual.data == y.data;
  double* const sums_of_b = epilogue.b_sums ? scratch<struct SumsOfB, double>(n) : nullptr;

  const Split stretches = split(divide_up(k, step), largest_stretch / kernel.k_step);
  const Blocking cut = blocking(floats, cut_stretch(0).units);
  const Split tiles = split(m, kernel.rows), row_blocks = shared_evenly(tiles.parts);
  // Nothing is shared out where there is little to do at all.
  const bool little = m * std::min(n, cut.columns) * k < 500000;

  void compute() const {
    if (sums_of_b) std::fill(sums_of_b, sums_of_b + n, 0.0);
    for (int64_t j = 0; j < n; j += cut.columns) {
      const Strip strip = cut_strip(j);
      for (int64_t part = 0; part < stretches.parts; ++part) {
        const Stretch stretch = cut_stretch(part);
        pack_strip(strip, stretch);
        const int64_t tasks = row_blocks.parts * strip.groups.parts;
        parallel_for(tasks, little ? tasks : 1, [&](int64_t begin, int64_t end) {
          for (int64_t task = begin; task < end; ++task) compute_task(strip, stretch, task);
        });
      }
    }
    for (int64_t j = 0; sums_of_b && j < n; ++j)
      visit(epilogue.b_sums.dtype,
            [&]<class T>(Type<T>) { epilogue.b_sums.as<T>()[j] = number_as<T>(sums_of_b[j]); });
  }

 private:
  static constexpr int64_t turning_pays = 256;  // from so many columns of y on
  static constexpr int64_t panels_at_once = 4;  // of a task that are then finished while they are at hand
  // In units. A panel of floats is at most 128 KiB; one of pairs may be twice as long, as then most products
  // of a training step are a single stretch.
  static constexpr int64_t largest_stretch = sums_in_y ? 512 : 1024;
  static constexpr int64_t row_step =
      largest_stretch + 16;  // rows of a panel of a then fall into different sets

  // Blocks of rows, as many for each thread as for the others.
  Split shared_evenly(int64_t tile_count) const {
    const int64_t blocks = divide_up(tile_count, cut.rows / kernel.rows), threads = thread_pool().threads();
    return {tile_count, std::min(tile_count, divide_up(blocks, threads) * threads)};
  }

  // Columns `begin` to `begin` + columns of y, as panels of b; a task computes a group of panels.
  struct Strip {
    int64_t begin, columns;
    Unit* panels;
    Split groups;
    Matrix<float> sums;  // of the strip's part of y, if that is where they are kept
  };

  // Numbers `begin` to `begin` + size along k, in `units`.
  struct Stretch {
    int64_t begin, size, units;
    bool first, last;
  };

  Stretch cut_stretch(int64_t part) const {
    const Range steps = stretches[part];
    const int64_t begin = steps.begin * step;
    return {begin, std::min(k - begin, steps.size * step), steps.size * kernel.k_step, part == 0,
            part + 1 == stretches.parts};
  }

  // Enough tasks that the last one to end is not waited for long.
  Strip cut_strip(int64_t begin) const {
    const int64_t columns = std::min(cut.columns, n - begin), panels = divide_up(columns, width);
    const int64_t tasks = little ? 1 : 4 * thread_pool().threads();
    const bool keeps_sums = !sums_in_y && stretches.parts > 1;
    return {begin,
            columns,
            scratch<struct PanelsOfB, Unit>(panels * width * cut_stretch(0).units),
            {panels, std::clamp<int64_t>(tasks / row_blocks.parts, 1, divide_up(panels, 2))},
            {keeps_sums ? scratch<struct SumsOfStrip>(m * panels * width) : nullptr, panels * width, 1}};
  }

  void pack_strip(const Strip& strip, const Stretch& p) const {
    const auto pack = width == 64   ? pack_b<64, Number>
                      : width == 32 ? pack_b<32, Number>
                      : width == 16 ? pack_b<16, Number>
                                    : pack_b<8, Number>;
    const int64_t panels = strip.groups.count, each = divide_up(panels, thread_pool().threads()),
                  at_once = std::clamp<int64_t>(8 * grain / (width * p.size), 1, each);
    parallel_for(panels, little ? panels : at_once, [&](int64_t begin, int64_t end) {
      const int64_t j = begin * width;
      pack(b, p.begin, p.size, strip.begin + j, std::min(end * width, strip.columns) - j,
           strip.panels + j * p.units, p.units, sums_of_b ? sums_of_b + strip.begin + j : nullptr);
    });
  }

  // A block of rows times a group of panels. The epilogue follows when the last stretch of k has been added.
  void compute_task(const Strip& strip, const Stretch& p, int64_t task) const {
    const Range block = row_blocks[task % row_blocks.parts], group = strip.groups[task / row_blocks.parts];
    Unit* const panels_of_a = scratch<struct PanelsOfA, Unit>(block.size * kernel.rows * row_step);
    const auto panel_of_a = [&](int64_t tile) {
      return panels_of_a + (tile - block.begin) * kernel.rows * row_step;
    };
    if (!direct)
      for (int64_t tile = block.begin; tile < block.end(); ++tile)
        pack_a(a, tiles[tile].begin, tiles[tile].size, p.begin, p.size, panel_of_a(tile), p.units, by_column,
               row_step);
    for (int64_t some = group.begin; some < group.end(); some += panels_at_once) {
      const int64_t end = std::min(group.end(), some + panels_at_once), j = some * width;
      if (!p.last)
        fetch_next(strip, p, task, (some - group.begin) / panels_at_once,
                   divide_up(group.size, panels_at_once));
      for (int64_t tile = block.begin; tile < block.end(); ++tile) {
        const Range rows = tiles[tile];
        const Unit* rows_of_a =
            direct ? reinterpret_cast<const Unit*>(a.at(rows.begin, p.begin)) : panel_of_a(tile);
        const Matrix<float> sums = sums_at(strip, rows, j);
        for (int64_t panel = some; panel < end; ++panel)
          compute_tile(strip, p, rows.size, rows_of_a, panel, sums.at(0, (panel - some) * width),
                       sums.row_stride);
        if (p.last && (!sums_in_y || !epilogue.nothing()))
          finish(epilogue, sums, view_of(y, m, n), rows.begin, rows.size, strip.begin + j,
                 std::min(strip.columns, end * width) - j);
      }
    }
  }

  // Where the sums of these rows and of columns from j of the strip are.
  Matrix<float> sums_at(const Strip& strip, Range rows, int64_t j) const {
    if constexpr (sums_in_y)
      return {y.at(rows.begin, strip.begin + j), y.row_stride, 1};
    else if (strip.sums.data)
      return {strip.sums.at(rows.begin, j), strip.sums.row_stride, 1};
    else
      return {scratch<struct SumsOfTile>(rows.size * panels_at_once * width), panels_at_once * width, 1};
  }

  // The sums of one block of y, i rows x a panel's width, += or = rows of a times a panel of b.
  void compute_tile(const Strip& strip, const Stretch& p, int64_t i, const Unit* rows, int64_t panel,
                    float* sums, int64_t sums_step) const {
    const TileProduct<Unit> product = (by_column ? kernel.by_column : kernel.by_row)[i - 1];
    const int64_t a_step = direct ? a.row_stride / unit_size<Number> : row_step, j = panel * width;
    const int64_t columns = sums_in_y ? std::min(width, strip.columns - j) : width;
    const bool add = !p.first || accumulate;
    const Unit* panel_of_b = strip.panels + j * p.units;
    if (columns == width) return product(p.units, rows, a_step, panel_of_b, sums, sums_step, add);
    float corner[32 * 32];  // the block does not fit into y
    product(p.units, rows, a_step, panel_of_b, corner, width, false);
    for (int64_t row = 0; row < i; ++row)
      for (int64_t c = 0; c < columns; ++c) {
        float& to = sums[row * sums_step + c];
        to = add ? to + corner[row * width + c] : corner[row * width + c];
      }
  }

  // While one stretch is computed, memory has time to bring what the next one needs: the task's own rows of
  // a, and its share of what all tasks pack together. `part` of `parts` of that is asked for at a time.
  void fetch_next(const Strip& strip, const Stretch& now, int64_t task, int64_t part, int64_t parts) const {
    const Range block = row_blocks[task % row_blocks.parts];
    const int64_t first = tiles[block.begin].begin;
    const Range next = {now.begin + now.size, std::min(k - now.begin - now.size, now.size)};
    const Range shared = Split{next.size, row_blocks.parts * strip.groups.parts}[task];
    const Range share = Split{shared.size, parts}[part];
    const int64_t row = next.begin + shared.begin + share.begin;
    if (by_row) {
      const Range own = Split{tiles[block.end() - 1].end() - first, parts}[part];
      fetch(a, first + own.begin, own.size, next.begin, next.size);
    } else {
      fetch<Number>({a.data, a.column_stride, 1}, row, share.size, 0, m);
    }
    if (b.column_stride == 1) fetch(b, row, share.size, strip.begin, strip.columns);
  }
};

}  // namespace

Blocking blocking(bool floats, int64_t units) {
  const int64_t bytes = std::max<int64_t>(units, 1) * static_cast<int64_t>(sizeof(float));
  return {std::clamp<int64_t>(caches().second / 2 / bytes, 32, floats ? 108 : 256),
          std::clamp<int64_t>(caches().last / 4 / bytes / 64 * 64, 512, 4096)};
}

void gemm(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b, Matrix<float> y,
          const Epilogue& epilogue) {
  Product<float, float>{m, n, k, a, b, y, epilogue, *kernel_of_floats()}.compute();
}

void gemm(int64_t m, int64_t n, int64_t k, Matrix<const bf16> a, Matrix<const bf16> b, Matrix<float> y,
          const Epilogue& epilogue) {
  Product<bf16, float>{m, n, k, a, b, y, epilogue, *kernel_of_pairs()}.compute();
}

void gemm(int64_t m, int64_t n, int64_t k, Matrix<const bf16> a, Matrix<const bf16> b, Matrix<bf16> y,
          const Epilogue& epilogue) {
  Product<bf16, bf16>{m, n, k, a, b, y, epilogue, *kernel_of_pairs()}.compute();
}

}  // namespace chapbook::cpu
