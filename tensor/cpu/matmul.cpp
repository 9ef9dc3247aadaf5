// Matrix products: what a training step spends four fifths of its time on. A product is cut into tiles of the
// result, chosen from its shape alone, and each tile is one call of cpu::product in one thread. Transposed
// operands are read as they lie. A product with one row (decoding a token) is bound by reading the other
// operand once, and has loops of its own.
#include <bit>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/loop.h"
#include "tensor/cpu/product.h"

#ifdef CHAPBOOK_OPENBLAS
#include <cblas.h>
#endif

namespace chapbook {

using cpu::grain;
using cpu::Matrix;
using cpu::offset_of;

// OpenBLAS's own threads would fight with ours.
CpuBackend::CpuBackend() {
#ifdef CHAPBOOK_OPENBLAS
  openblas_set_num_threads(1);
#endif
}

namespace {

// Whether the last two axes can be read as a Matrix: along one of them, numbers lie side by side, and rows do
// not overlap.
bool readable(const View& x) {
  const int64_t rows = x.shape[-2], columns = x.shape[-1], row = x.strides[-2], column = x.strides[-1];
  if (rows == 1 || columns == 1) return rows == 1 ? columns == 1 || column >= 1 : row >= 1;
  return (column == 1 && row >= columns) || (row == 1 && column >= rows);
}

// The stride along an axis of size 1 is free to choose; then a column is a row that lies with gaps.
template <class T>
Matrix<T> matrix(const View& x, T* data) {
  const int64_t rows = x.shape[-2], columns = x.shape[-1];
  if (columns == 1) return {data, rows == 1 ? 1 : x.strides[-2], 1};
  if (rows == 1) return x.strides[-1] == 1 ? Matrix<T>{data, columns, 1} : Matrix<T>{data, 1, x.strides[-1]};
  return {data, x.strides[-2], x.strides[-1]};
}

// A batch of products with one and the same b is one product with more rows: (B, m, k) (k, n) is (B m, k) (k,
// n).
void merge_batch(View& a, View& b, View& y) {
  const auto merges = [](const View& x) {
    return x.shape[-2] == 1 || x.shape[-3] == 1 || x.strides[-3] == x.strides[-2] * x.shape[-2];
  };
  const auto merge = [](View& x) {
    if (x.shape[-2] == 1) x.strides[-2] = x.strides[-3];
    x.shape[-2] *= x.shape[-3];
    x.shape = x.shape.without(-3);
    x.strides = x.strides.without(-3);
  };
  while (y.shape.rank > 2 && (b.shape[-3] == 1 || b.strides[-3] == 0) && merges(a) && merges(y)) {
    merge(a);
    merge(y);
    b.shape = b.shape.without(-3);
    b.strides = b.strides.without(-3);
  }
}

template <class T>
void one_row(int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> y) {
  T* row = cpu::scratch<1, T>(k);
  for (int64_t p = 0; p < k; ++p) row[p] = *a.at(0, p);
  if (b.column_stride == 1) {
    parallel_for(n, std::max<int64_t>(256, grain / k / 256 * 256), [&](int64_t begin, int64_t end) {
      T* sums = cpu::scratch<2, T>(end - begin);
      cpu::add_rows<T>(k, end - begin, row, {b.at(0, begin), b.row_stride, 1}, sums);
      for (int64_t j = begin; j < end; ++j) *y.at(0, j) = sums[j - begin];
    });
  } else {
    parallel_for(n, std::max<int64_t>(1, grain / k), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) *y.at(0, j) = cpu::dot(k, row, b.at(0, j));
    });
  }
}

struct Tiles {
  int64_t rows, columns;  // of one tile
};

// Every tile packs its part of both operands again, so tiles are large: measured on one thread, tiles of 256
// whole rows cost 2 to 5% over the product in one piece and 512 rows 1 to 3%, while cutting columns costs
// about twice as much. Cut are therefore rows, and columns only if that leaves fewer than four tiles, or if
// there are very many. A power of two of equal tiles shares out evenly.
Tiles tiles_of(int64_t m, int64_t n, int64_t k) {
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

template <class T>
void multiply(const View& a, const View& b, const View& y) {
  const int64_t m = y.shape[-2], n = y.shape[-1], k = a.shape[-1];
  const Shape batch(y.shape.size, y.shape.rank - 2);
  const auto entry = [&]<class X>(const View& x, int64_t index, X*) {
    return matrix<X>(x, static_cast<X*>(x.data) + offset_of(index, batch, x.strides));
  };
  const T* const input = nullptr;
  T* const output = nullptr;
  if (m == 1 && batch.count() == 1)
    return one_row<T>(n, k, entry(a, 0, input), entry(b, 0, input), entry(y, 0, output));
  const Tiles tile = tiles_of(m, n, k);
  const int64_t down = (m + tile.rows - 1) / tile.rows, across = (n + tile.columns - 1) / tile.columns;
  const int64_t tasks_at_once = std::max<int64_t>(1, 1000000 / (2 * tile.rows * tile.columns * k));
  parallel_for(batch.count() * down * across, tasks_at_once, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t i = task % down * tile.rows, j = task / down % across * tile.columns,
                    index = task / down / across;
      const Matrix<const T> left = entry(a, index, input), right = entry(b, index, input);
      const Matrix<T> result = entry(y, index, output);
      cpu::product<T>(std::min(tile.rows, m - i), std::min(tile.columns, n - j), k, T(1),
                      {left.at(i, 0), left.row_stride, left.column_stride},
                      {right.at(0, j), right.row_stride, right.column_stride}, T(0),
                      {result.at(i, j), result.row_stride, result.column_stride});
    }
  });
}

}  // namespace

void CpuBackend::matmul(View a, View b, View y, const Epilogue& epilogue) {
  const bool covered =
      a.dtype == b.dtype && a.dtype == y.dtype && (y.dtype == DType::f32 || y.dtype == DType::f64);
  if (!covered || a.shape[-1] == 0 || !epilogue.nothing())
    return ReferenceBackend::matmul(a, b, y, epilogue);
  if (y.count() == 0) return;
  merge_batch(a, b, y);
  // A result that lies column by column is the transposed product: y^T = b^T a^T. So is one of a single
  // column: a row.
  const bool row_by_row = y.strides[-1] == 1 && (y.shape[-2] == 1 || y.strides[-2] >= y.shape[-1]);
  if ((!row_by_row && y.shape[-2] != 1) || (y.shape[-1] == 1 && y.shape[-2] != 1)) {
    std::swap(a, b);
    for (View* x : {&a, &b, &y}) *x = x->transpose(-1, -2);
  }
  const bool one_row = y.shape[-2] == 1 && y.shape.count() == y.shape[-1];
  const bool writable = one_row || (y.strides[-1] == 1 && (y.shape[-2] == 1 || y.strides[-2] >= y.shape[-1]));
  if (!writable) return ReferenceBackend::matmul(a, b, y, epilogue);
  // Operands without a dense axis are copied first.
  struct Copy {
    BlockCache& cache;
    void* block = nullptr;
    size_t bytes = 0;
    ~Copy() {
      if (block) cache.give_back(block, bytes);
    }
  } copies[2] = {{blocks()}, {blocks()}};
  View* const operands[2] = {&a, &b};
  for (int i = 0; i < 2; ++i) {
    if (readable(*operands[i])) continue;
    View dense = *operands[i];
    dense.strides = contiguous_strides(dense.shape);
    copies[i].bytes = static_cast<size_t>(dense.count() * size_of(dense.dtype));
    copies[i].block = dense.data = blocks().take(copies[i].bytes);
    copy(*operands[i], dense);
    *operands[i] = dense;
  }
  if (y.dtype == DType::f32)
    multiply<float>(a, b, y);
  else
    multiply<double>(a, b, y);
}

}  // namespace chapbook
