// The product by OpenBLAS. Its own threads would fight with ours, so a product is cut into tiles of y, and
// each tile is one call in one thread, with the epilogue after it.
#include <fmt/format.h>

#include <bit>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/loop.h"

#ifdef CHAPBOOK_OPENBLAS
#include <cblas.h>

namespace chapbook::cpu {

bool has_openblas() { return true; }
std::string describe_openblas() {
  return fmt::format("{} (kernels for {})", openblas_get_config(), openblas_get_corename());
}

namespace {

struct TileSize {
  int64_t rows, columns;  // of one tile
};

// Every tile packs its part of both operands again, so tiles are large: measured on one thread, tiles of 256
// whole rows cost 2 to 5% over the product in one piece and 512 rows 1 to 3%, while cutting columns costs
// about twice as much. Cut are therefore rows, and columns only if that leaves fewer than four tiles, or if
// there are very many. A power of two of equal tiles shares out evenly. Only the shape decides, so that bits
// do not depend on the number of threads.
TileSize tile_size(int64_t m, int64_t n, int64_t k) {
  const double work = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  if (work < 4e6) return {m, n};
  const auto pieces_of = [](int64_t size, int64_t least) {  // a power of two of pieces of at least that size
    return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(1, size / least))));
  };
  const auto cut = [](int64_t size, int64_t pieces) { return (size + pieces * 16 - 1) / (pieces * 16) * 16; };
  const int64_t down = pieces_of(m, std::max(m, n) > 2048 ? 512 : 256);
  const int64_t across =
      std::max(pieces_of(n, 8192), std::min(4 / std::min<int64_t>(down, 4), pieces_of(n, 64)));
  return {cut(m, down), cut(n, across)};
}

}  // namespace

void gemm_openblas(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                   Matrix<float> y, const Epilogue& epilogue) {
  [[maybe_unused]] static const bool once = (openblas_set_num_threads(1), true);
  const bool a_plain = a.column_stride == 1, b_plain = b.column_stride == 1;
  const auto a_order = a_plain ? CblasNoTrans : CblasTrans, b_order = b_plain ? CblasNoTrans : CblasTrans;
  const auto step = [](int64_t stride, int64_t length) { return static_cast<int>(std::max(stride, length)); };
  const int a_step = a_plain ? step(a.row_stride, k) : step(a.column_stride, m);
  const int b_step = b_plain ? step(b.row_stride, n) : step(b.column_stride, k),
            y_step = step(y.row_stride, n);
  const float keep = epilogue.residual && epilogue.residual.data == y.data ? 1 : 0;
  const TileSize tile = tile_size(m, n, k);
  const int64_t down = (m + tile.rows - 1) / tile.rows, across = (n + tile.columns - 1) / tile.columns;
  parallel_for(down * across, 1, [&](int64_t task, int64_t) {
    const int64_t i = task % down * tile.rows, j = task / down * tile.columns;
    const int64_t rows = std::min(tile.rows, m - i), columns = std::min(tile.columns, n - j);
    if (rows <= 0 || columns <= 0) return;
    cblas_sgemm(CblasRowMajor, a_order, b_order, static_cast<int>(rows), static_cast<int>(columns),
                static_cast<int>(k), 1, a.at(i, 0), a_step, b.at(0, j), b_step, keep, y.at(i, j), y_step);
    if (!epilogue.nothing())
      finish(epilogue, {y.at(i, j), y.row_stride, 1}, view_of(y, m, n), i, rows, j, columns);
  });
  if (!epilogue.b_sums) return;
  constexpr int64_t some = 64, piece = 512;  // columns; rows that are added up by themselves
  parallel_for(n, some, [&](int64_t begin, int64_t end) {
    double sums[some] = {};
    for (int64_t first = 0; first < k; first += piece) {
      float here[some] = {};
      for (int64_t p = first; p < std::min(k, first + piece); ++p)
        for (int64_t j = begin; j < end; ++j) here[j - begin] += *b.at(p, j);
      for (int64_t j = begin; j < end; ++j) sums[j - begin] += here[j - begin];
    }
    for (int64_t j = begin; j < end; ++j)
      epilogue.b_sums.as<float>()[j] = static_cast<float>(sums[j - begin]);
  });
}

}  // namespace chapbook::cpu

#else

namespace chapbook::cpu {

bool has_openblas() { return false; }
std::string describe_openblas() { return "none (built with CHAPBOOK_OPENBLAS=OFF)"; }

void gemm_openblas(int64_t, int64_t, int64_t, Matrix<const float>, Matrix<const float>, Matrix<float>,
                   const Epilogue&) {
  fail("gemm: Chapbook was built without OpenBLAS");
}

}  // namespace chapbook::cpu

#endif
