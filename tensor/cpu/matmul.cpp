// Matrix products: what a training step spends four fifths of its time on. Here a product of any strides
// becomes one, or a batch, of plain matrices; transposed operands are read as they lie. gemm.h has what then
// computes it.
#include <optional>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

using cpu::grain;
using cpu::Matrix;

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

// f64 is for checking gradients: rows of y one by one.
void product(int64_t m, int64_t n, int64_t k, Matrix<const double> a, Matrix<const double> b,
             Matrix<double> y, const Epilogue&, BlockCache&) {
  parallel_for(m, std::max<int64_t>(1, grain / (n * k)), [&](int64_t begin, int64_t end) {
    double* row = cpu::scratch<struct Row, double>(k);
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t p = 0; p < k; ++p) row[p] = *a.at(i, p);
      if (b.column_stride == 1)
        cpu::add_rows(k, n, row, b, y.at(i, 0));
      else
        for (int64_t j = 0; j < n; ++j) *y.at(i, j) = cpu::dot(k, row, b.at(0, j));
    }
  });
}

void product(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b, Matrix<float> y,
             const Epilogue& epilogue, BlockCache& blocks) {
  const bool adds = epilogue.residual && epilogue.residual.data == y.data;
  if (m <= few_rows && !epilogue.b_sums && !adds) return cpu::gemm_skinny(m, n, k, a, b, y, epilogue);
  cpu::Gemm choice = cpu::gemm_choice();
  if (choice == cpu::Gemm::automatic) {
    const Scratch<float> trial(blocks, m * n);  // y may hold what is to be added to
    choice = cpu::faster_gemm(m, n, k, a, b, {trial.data(), n, 1});
  }
  if (choice == cpu::Gemm::own) return cpu::gemm(m, n, k, a, b, y, epilogue);
  cpu::gemm_openblas(m, n, k, a, b, y, epilogue);
}

template <class Result>
void product(int64_t m, int64_t n, int64_t k, Matrix<const bf16> a, Matrix<const bf16> b, Matrix<Result> y,
             const Epilogue& epilogue, BlockCache&) {
  cpu::gemm(m, n, k, a, b, y, epilogue);
}

template <class T>
Matrix<T> entry(const View& x, int64_t offset) {
  return matrix<T>(x, x.as<std::remove_const_t<T>>() + offset);
}

// Whether the processor multiplies these as they are, bf16 by bf16.
bool pairs_multiply(const View& a, const View& b, const View& y, const Epilogue& epilogue) {
  const auto fits = [](const View& x) { return !x || x.dtype == DType::bf16 || x.dtype == DType::f32; };
  return a.dtype == DType::bf16 && b.dtype == DType::bf16 && fits(y) && fits(epilogue.bias) &&
         fits(epilogue.residual) && (!epilogue.before || epilogue.before.dtype == y.dtype) &&
         fits(epilogue.b_sums) && cpu::kernel_of_pairs() && cpu::gemm_choice() != cpu::Gemm::openblas &&
         cpu::dense_rows({epilogue.bias, epilogue.residual, epilogue.before, epilogue.b_sums});
}

}  // namespace

bool CpuBackend::faster_in(DType dtype) const {
  return dtype == DType::bf16 && cpu::kernel_of_pairs() && !cpu::gemm_vectors().ends_with("as-written") &&
         cpu::gemm_choice() != cpu::Gemm::openblas;
}

void CpuBackend::matmul(In a, In b, Out y, const Epilogue& epilogue) {
  const bool in_pairs = pairs_multiply(a, b, y, epilogue);
  if (!in_pairs && cpu::any_half({a, b, y})) {
    Epilogue wide = epilogue;
    View none;  // GELU's x is written on the way forward and read on the way back
    View& before_written = wide.activation == Activation::gelu ? wide.before : none;
    View& before_read = wide.activation == Activation::gelu ? none : wide.before;
    return cpu::in_f32(*this, {&a, &b, &wide.bias, &wide.residual, &before_read},
                       {&y, &wide.b_sums, &before_written}, [&] { matmul(a, b, y, wide); });
  }
  const bool in_f64 = a.dtype == DType::f64 && b.dtype == DType::f64 && y.dtype == DType::f64;
  const std::initializer_list<View> more = {epilogue.bias, epilogue.residual, epilogue.before,
                                            epilogue.b_sums};
  const bool in_f32 = cpu::all_f32({a, b, y}) && cpu::all_f32(more) && cpu::dense_rows(more);
  const bool covered = in_pairs || in_f32 || (in_f64 && epilogue.nothing());
  // The product is added to y as it is summed: an activation would change what y held, too.
  const bool changes_y = epilogue.residual.data == y.data && epilogue.activation != Activation::none;
  if (!covered || changes_y || a.shape[-1] == 0) return reference_backend().matmul(a, b, y, epilogue);
  if (y.count() == 0) return;
  merge_batch(a, b, y);
  // A result that lies column by column is the transposed product: y^T = b^T a^T. So is one of a single
  // column: a row.
  const bool row_by_row = y.strides[-1] == 1 && (y.shape[-2] == 1 || y.strides[-2] >= y.shape[-1]);
  if (((!row_by_row && y.shape[-2] != 1) || (y.shape[-1] == 1 && y.shape[-2] != 1)) && epilogue.nothing()) {
    std::swap(a, b);
    for (View* x : std::initializer_list<View*>{&a, &b, &y}) *x = x->transpose(-1, -2);
  }
  const bool writable =
      (y.strides[-1] == 1 || y.shape[-1] == 1) && (y.shape[-2] == 1 || y.strides[-2] >= y.shape[-1]);
  if (!writable) return reference_backend().matmul(a, b, y, epilogue);
  // Operands without a dense axis are copied first.
  std::optional<Scratch<std::byte>> copies[2];
  View* const operands[2] = {&a, &b};
  for (int i = 0; i < 2; ++i) {
    if (readable(*operands[i])) continue;
    View dense = *operands[i];
    dense.strides = contiguous_strides(dense.shape);
    copies[i].emplace(blocks(), dense.count() * size_of(dense.dtype));
    dense.data = copies[i]->data();
    copy(*operands[i], dense);
    *operands[i] = dense;
  }

  const int64_t m = y.shape[-2], n = y.shape[-1], k = a.shape[-1];
  const Shape batch(y.shape.size, y.shape.rank - 2);
  const auto offset = [&](const View& x, int64_t index) { return offset_of(index, batch, x.strides); };
  // A batch is shared out among the threads by its entries, or each entry's product shares itself out.
  const int64_t at_once = std::max<int64_t>(1, 1000000 / (2 * m * n * k));
  parallel_for(batch.count(), at_once, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto compute = [&]<class T, class Y>(Type<T>, Type<Y>) {
        product(m, n, k, entry<const T>(a, offset(a, i)), entry<const T>(b, offset(b, i)),
                entry<Y>(y, offset(y, i)), epilogue, blocks());
      };
      if (in_f64) compute(Type<double>(), Type<double>());
      if (in_f32) compute(Type<float>(), Type<float>());
      if (in_pairs && y.dtype == DType::f32) compute(Type<bf16>(), Type<float>());
      if (in_pairs && y.dtype == DType::bf16) compute(Type<bf16>(), Type<bf16>());
    }
  });
}

}  // namespace chapbook
