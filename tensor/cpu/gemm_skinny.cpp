// Products with one to sixteen rows, as in decoding: every number of b is used so few times that all depends
// on reading b from memory just once, as it lies, by all threads. Packing it first, as gemm does, would read
// and write it once more. However many rows there are, y has the same bits: where rows of b are dense, its
// numbers are sums of stretches of 64 products; where columns are, dot products in 16 lanes over all of k.
#include <cmath>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/loop.h"

namespace chapbook::cpu {

namespace {

typedef float Vector __attribute__((vector_size(64), aligned(4)));  // may be loaded from any address
constexpr int64_t lanes = 16;
#ifdef __AVX512F__
constexpr int registers = 16, most_rows = 8;  // for sums, of whole vectors; rows computed together
#else
constexpr int registers = 4, most_rows = 4;
#endif

Vector& vector_at(float* x) { return *reinterpret_cast<Vector*>(x); }
const Vector& vector_at(const float* x) { return *reinterpret_cast<const Vector*>(x); }

float sum(Vector x) {
  const auto eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

constexpr int64_t stretch = 64;  // rows of b whose products are added up by themselves

// With one row and a large b, threads share out the stretches: whole rows of b are the longest runs of memory
// there are. Measured, in single runs: 1.2 times the bytes a second of pieces on an AMD EPYC, 1.1 times on an
// Intel Xeon, but there 0.7 times for matrices of C = 384, of at most half a million numbers. A few rows at a
// time, so that sums are read and written less often.
constexpr int64_t large = 1 << 20;
template <int rows>
void add_whole_rows(int64_t n, const float* a, const float* b, int64_t b_step, float* sums) {
  const int64_t whole = n / lanes * lanes;
  for (int64_t j = 0; j < whole; j += lanes) {
    Vector to = vector_at(sums + j);
    for (int p = 0; p < rows; ++p) to += a[p] * vector_at(b + p * b_step + j);
    vector_at(sums + j) = to;
  }
  for (int64_t j = whole; j < n; ++j)
    for (int p = 0; p < rows; ++p) sums[j] += a[p] * b[p * b_step + j];
}

void one_row(int64_t n, int64_t k, const float* a, Matrix<const float> b, float* y) {
  const int64_t stretches = (k + stretch - 1) / stretch;
  float* const sums = scratch<struct SumsOfStretches>(stretches * n);
  parallel_for(stretches, n * k < 4 * grain ? stretches : 1, [&](int64_t begin, int64_t end) {
    std::fill(sums + begin * n, sums + end * n, 0.0f);
    for (int64_t s = begin; s < end; ++s) {
      int64_t p = s * stretch;
      const int64_t last = std::min(k, p + stretch);
      for (; p + 8 <= last; p += 8) add_whole_rows<8>(n, a + p, b.at(p, 0), b.row_stride, sums + s * n);
      for (; p < last; ++p) add_whole_rows<1>(n, a + p, b.at(p, 0), b.row_stride, sums + s * n);
    }
  });
  std::copy(sums, sums + n, y);
  for (int64_t s = 1; s < stretches; ++s)
    for (int64_t j = 0; j < n; ++j) y[j] += sums[s * n + j];
}

// b is read in pieces of a stretch of rows and at most so many columns. Rows further on are called for
// meanwhile, into the second cache: the processor sees no stream in rows that lie far apart. Measured with
// one row: 1.5 to 2.1 times the bytes a second.
constexpr int64_t most_columns = 512, ahead = 16;

// y[r, j] = (add ? y[r, j] : 0) + sum over p < k of a[p, r] b[p, j] for `width` columns of a piece of b,
// whole vectors; a holds all rows' numbers side by side for each p. As many columns at a time as registers
// hold, then half as many.
template <int rows, int vectors>
void add_piece(int64_t width, int64_t k, const float* a, int64_t a_step, const float* b, int64_t b_step,
               float* y, int64_t y_step, bool add) {
  int64_t j = 0;
  for (; j + vectors * lanes <= width; j += vectors * lanes) {
    Vector sums[rows][vectors] = {};
    for (int64_t p = 0; p < k; ++p)
      for (int v = 0; v < vectors; ++v) {
        __builtin_prefetch(b + (p + ahead) * b_step + j + v * lanes, 0, 2);
        for (int r = 0; r < rows; ++r)
          sums[r][v] += a[p * a_step + r] * vector_at(b + p * b_step + j + v * lanes);
      }
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) {
        Vector& to = vector_at(y + r * y_step + j + v * lanes);
        to = add ? to + sums[r][v] : sums[r][v];
      }
  }
  if constexpr (vectors > 1)
    add_piece<rows, vectors / 2>(width - j, k, a, a_step, b + j, b_step, y + j, y_step, add);
}

// y[0, j] = the dot products of a row with columns of b, whose numbers lie side by side, read as one stream:
// faster for long columns, the other way for short ones.
constexpr int64_t long_column = 512;
void along_one(int64_t k, const float* a, Matrix<const float> b, float* y, int64_t begin, int64_t end) {
  const int64_t whole = k / lanes * lanes;
  for (int64_t j = begin; j < end; ++j) {
    const float* const column = b.at(0, j);
    Vector sums = {};
    for (int64_t p = 0; p < whole; p += lanes) sums += vector_at(a + p) * vector_at(column + p);
    y[j] = sum(sums);
    for (int64_t p = whole; p < k; ++p) y[j] = std::fma(a[p], column[p], y[j]);
  }
}

// The same for a few rows, two columns at a time.
template <int rows>
void along(int64_t k, const float* a, Matrix<const float> b, Matrix<float> y, int64_t begin, int64_t end) {
  const int64_t whole = k / lanes * lanes;
  for (int64_t j = begin; j < end; j += 2) {
    const float *left = b.at(0, j), *right = b.at(0, std::min(j + 1, end - 1));
    Vector sums[rows][2] = {};
    for (int64_t p = 0; p < whole; p += lanes) {
      __builtin_prefetch(left + 16 * b.column_stride + p, 0, 2);
      __builtin_prefetch(right + 16 * b.column_stride + p, 0, 2);
      for (int r = 0; r < rows; ++r) {
        sums[r][0] += vector_at(a + r * k + p) * vector_at(left + p);
        sums[r][1] += vector_at(a + r * k + p) * vector_at(right + p);
      }
    }
    for (int r = 0; r < rows; ++r) {
      float first = sum(sums[r][0]), second = sum(sums[r][1]);
      for (int64_t p = whole; p < k; ++p) {
        first = std::fma(a[r * k + p], left[p], first);
        second = std::fma(a[r * k + p], right[p], second);
      }
      *y.at(r, j) = first;
      *y.at(r, std::min(j + 1, end - 1)) = second;
    }
  }
}

// f(i, 8), f(i, 4), ... for as many rows as there are, the count as a constant.
template <int rows, class F>
void for_rows(int64_t i, int64_t m, F& f) {
  for (; i + rows <= m; i += rows) f(i, std::integral_constant<int, rows>());
  if constexpr (rows > 1) for_rows<rows / 2>(i, m, f);
}

}  // namespace

void gemm_skinny(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                 Matrix<float> y, const Epilogue& epilogue) {
  const bool dots = b.column_stride != 1;
  float* const rows =
      scratch<struct RowsOfA>(m * k);  // of a: row after row for dot products, else side by side
  for (int64_t i = 0; i < m; ++i)
    for (int64_t p = 0; p < k; ++p) rows[dots ? i * k + p : p * m + i] = *a.at(i, p);
  if (!dots && m == 1 && n * k >= large) {
    one_row(n, k, rows, b, y.data);
    if (!epilogue.nothing()) finish(epilogue, {y.at(0, 0), y.row_stride, 1}, view_of(y, 1, n), 0, 1, 0, n);
    return;
  }
  // Pieces of equal width, four at least and an even number, so that they share out evenly, unless b is
  // small.
  const int64_t pieces =
      n * k < 4 * grain ? 1 : std::max<int64_t>(4, (n + 2 * most_columns - 1) / (2 * most_columns) * 2);
  const int64_t columns = std::min(most_columns, (n + pieces * lanes - 1) / (pieces * lanes) * lanes);
  parallel_for(n, columns, [&](int64_t begin, int64_t end) {
    if (dots && m == 1 && k >= long_column) {
      along_one(k, rows, b, y.data, begin, end);
    } else if (dots) {
      const auto compute = [&](int64_t i, auto count) {
        along<count>(k, rows + i * k, b, {y.at(i, 0), y.row_stride, 1}, begin, end);
      };
      for_rows<most_rows>(0, m, compute);
    } else {
      const int64_t here = end - begin, width = (here + lanes - 1) / lanes * lanes;
      // Where columns do not end with a whole vector, b is copied, and so is y.
      float* const copy = here < width ? scratch<struct Copy>((stretch + m) * width) : nullptr;
      float* const to = copy ? copy + stretch * width : y.at(0, begin);
      const int64_t step = copy ? width : y.row_stride;
      if (copy) std::fill(copy, to, 0.0f);
      for (int64_t p = 0; p < k; p += stretch) {
        const int64_t rows_here = std::min(stretch, k - p);
        const float* piece = b.at(p, begin);
        for (int64_t row = 0; copy && row < rows_here; ++row)
          std::copy(piece + row * b.row_stride, piece + row * b.row_stride + here, copy + row * width);
        const auto compute = [&](int64_t i, auto count) {
          add_piece<count, registers / count>(width, rows_here, rows + p * m + i, m, copy ? copy : piece,
                                              copy ? width : b.row_stride, to + i * step, step, p > 0);
        };
        for_rows<most_rows>(0, m, compute);
      }
      for (int64_t i = 0; copy && i < m; ++i)
        std::copy(to + i * width, to + i * width + here, y.at(i, begin));
    }
    if (!epilogue.nothing())
      finish(epilogue, {y.at(0, begin), y.row_stride, 1}, view_of(y, m, n), 0, m, begin, end - begin);
  });
}

}  // namespace chapbook::cpu
