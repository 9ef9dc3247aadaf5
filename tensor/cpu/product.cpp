// The matrix product of one thread. What makes it fast: the inner loop keeps a block of the result in
// registers and does two multiply-adds of whole vectors for each vector and each scalar it loads; both
// operands stream from packed panels that fit the caches.
#include "tensor/cpu/product.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/loop.h"

#ifdef CHAPBOOK_OPENBLAS
#include <cblas.h>
#endif

namespace chapbook::cpu {

namespace {

template <class T>
struct Kernel {
  typedef T Vector __attribute__((vector_size(64), aligned(sizeof(T))));  // may be loaded from any address
  static constexpr int lanes = 64 / sizeof(T);
#ifdef __AVX512F__
  static constexpr int rows = 14, vectors = 2;  // 28 of 32 registers hold the result
#else
  static constexpr int rows = 6, vectors = 1;  // 12 of 16 registers of half the width
#endif
  static constexpr int columns = vectors * lanes;

  // sums (rows, columns) = panel a (k, rows) transposed times panel b (k, columns).
  static void multiply(int64_t k, const T* a, const T* b, Vector (&sums)[rows][vectors]) {
    Vector acc[rows][vectors] = {};
    for (int64_t p = 0; p < k; ++p, a += rows, b += columns) {
      Vector right[vectors];
      for (int v = 0; v < vectors; ++v) right[v] = *reinterpret_cast<const Vector*>(b + v * lanes);
      for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) acc[r][v] += a[r] * right[v];
    }
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) sums[r][v] = acc[r][v];
  }
};

// Panels of `width` rows of x (count, k), side by side for each k; missing rows are 0.
template <int width, class T>
void pack(int64_t count, int64_t k, Matrix<const T> x, T* panels) {
  for (int64_t first = 0; first < count; first += width) {
    const int64_t here = std::min<int64_t>(width, count - first);
    if (here < width) std::fill(panels, panels + width * k, T(0));
    const T* from = x.at(first, 0);
    if (x.row_stride == 1) {
      for (int64_t p = 0; p < k; ++p, from += x.column_stride)
        for (int64_t i = 0; i < here; ++i) panels[p * width + i] = from[i];
    } else {
      for (int64_t p0 = 0; p0 < k; p0 += 64)  // so that the lines written to stay in the first cache
        for (int64_t i = 0; i < here; ++i)
          for (int64_t p = p0; p < std::min(k, p0 + 64); ++p)
            panels[p * width + i] = from[i * x.row_stride + p * x.column_stride];
    }
    panels += width * k;
  }
}

}  // namespace

template <class T>
void own_product(int64_t m, int64_t n, int64_t k, T alpha, Matrix<const T> a, Matrix<const T> b, T beta,
                 Matrix<T> y) {
  using K = Kernel<T>;
  constexpr int64_t k_block = 320, m_block = K::rows * 10, n_block = K::columns * 16;
  T* a_panels = scratch<14, T>(k_block * m_block);
  T* b_panels = scratch<15, T>(k_block * n_block);
  for (int64_t j0 = 0; j0 < n; j0 += n_block) {
    const int64_t nb = std::min(n_block, n - j0);
    for (int64_t p0 = 0; p0 < k; p0 += k_block) {
      const int64_t kb = std::min(k_block, k - p0);
      const T keep = p0 ? T(1) : beta;
      pack<K::columns, T>(nb, kb, Matrix<const T>{b.at(p0, j0), b.row_stride, b.column_stride}.transposed(),
                          b_panels);
      for (int64_t i0 = 0; i0 < m; i0 += m_block) {
        const int64_t mb = std::min(m_block, m - i0);
        pack<K::rows, T>(mb, kb, {a.at(i0, p0), a.row_stride, a.column_stride}, a_panels);
        for (int64_t j = 0; j < nb; j += K::columns)
          for (int64_t i = 0; i < mb; i += K::rows) {
            typename K::Vector sums[K::rows][K::vectors];
            K::multiply(kb, a_panels + i * kb, b_panels + j * kb, sums);
            const int64_t rows = std::min<int64_t>(K::rows, mb - i),
                          columns = std::min<int64_t>(K::columns, nb - j);
            for (int64_t r = 0; r < rows; ++r) {
              const T* sum = reinterpret_cast<const T*>(sums[r]);
              T* to = y.at(i0 + i + r, j0 + j);
              if (keep == T(0)) {
                for (int64_t c = 0; c < columns; ++c) to[c] = alpha * sum[c];
              } else {
                for (int64_t c = 0; c < columns; ++c) to[c] = alpha * sum[c] + keep * to[c];
              }
            }
          }
      }
    }
  }
}

#ifdef CHAPBOOK_OPENBLAS

template <class T>
void product(int64_t m, int64_t n, int64_t k, T alpha, Matrix<const T> a, Matrix<const T> b, T beta,
             Matrix<T> y) {
  const bool a_plain = a.column_stride == 1, b_plain = b.column_stride == 1;
  const auto a_order = a_plain ? CblasNoTrans : CblasTrans, b_order = b_plain ? CblasNoTrans : CblasTrans;
  const auto step = [](int64_t stride, int64_t length) { return static_cast<int>(std::max(stride, length)); };
  const int a_step = a_plain ? step(a.row_stride, k) : step(a.column_stride, m);
  const int b_step = b_plain ? step(b.row_stride, n) : step(b.column_stride, k),
            y_step = step(y.row_stride, n);
  const int rows = static_cast<int>(m), columns = static_cast<int>(n), inner = static_cast<int>(k);
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, a_order, b_order, rows, columns, inner, alpha, a.data, a_step, b.data, b_step,
                beta, y.data, y_step);
  else
    cblas_dgemm(CblasRowMajor, a_order, b_order, rows, columns, inner, alpha, a.data, a_step, b.data, b_step,
                beta, y.data, y_step);
}

#else

template <class T>
void product(int64_t m, int64_t n, int64_t k, T alpha, Matrix<const T> a, Matrix<const T> b, T beta,
             Matrix<T> y) {
  own_product(m, n, k, alpha, a, b, beta, y);
}

#endif

template void product(int64_t, int64_t, int64_t, float, Matrix<const float>, Matrix<const float>, float,
                      Matrix<float>);
template void product(int64_t, int64_t, int64_t, double, Matrix<const double>, Matrix<const double>, double,
                      Matrix<double>);
template void own_product(int64_t, int64_t, int64_t, float, Matrix<const float>, Matrix<const float>, float,
                          Matrix<float>);
template void own_product(int64_t, int64_t, int64_t, double, Matrix<const double>, Matrix<const double>,
                          double, Matrix<double>);

}  // namespace chapbook::cpu
