// Matrix products on all cores, with an epilogue: Chapbook's own for f32 and bf16 (gemm.cpp; gemm_kernel.h
// has its innermost loop), and for f32 its form for a few rows (gemm_skinny.cpp), and OpenBLAS
// (gemm_openblas.cpp).
#pragma once
#include <string_view>

#include "tensor/backend.h"
#include "tensor/cpu/matrix.h"

namespace chapbook::cpu {

// y = residual + activation(a b + bias) for a (m, k), b (k, n) and y (m, n), whose column stride is 1; see
// Epilogue in tensor/backend.h. Every number of y is summed in the order of k, in stretches of at most 512
// multiply-adds whose sums are added one after another, so its bits do not depend on how rows, columns and
// threads are shared out.
void gemm(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b, Matrix<float> y,
          const Epilogue& epilogue);

// The same for numbers in bf16, where kernel_of_pairs() is not null: sums are f32, in an order that is the
// kernel's, and are rounded once, after the epilogue. Operands of the epilogue may be f32 or bf16; `before`
// is of y's type.
void gemm(int64_t m, int64_t n, int64_t k, Matrix<const bf16> a, Matrix<const bf16> b, Matrix<bf16> y,
          const Epilogue& epilogue);
void gemm(int64_t m, int64_t n, int64_t k, Matrix<const bf16> a, Matrix<const bf16> b, Matrix<float> y,
          const Epilogue& epilogue);

// How products of `units` units along k, floats or pairs of bf16, are cut for the caches of the processor:
// into blocks of rows that fill half of the second cache, and strips of columns that fill a quarter of the
// last; but never larger than the sizes that were measured to be good, 108 rows of floats, 256 of pairs and
// 4,096 columns, nor smaller than 32 rows and 512 columns. No bit depends on it.
struct Blocking {
  int64_t rows, columns;
};
Blocking blocking(bool floats, int64_t units);

// What gemm computes, for m up to 16, summed in another order. It leaves out b_sums, which no such product
// has asked for, and a residual that is y.
void gemm_skinny(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                 Matrix<float> y, const Epilogue& epilogue);

// The same as gemm by OpenBLAS, if Chapbook was built with it, in tiles of y of one thread each.
void gemm_openblas(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                   Matrix<float> y, const Epilogue& epilogue);
bool has_openblas();
std::string describe_openblas();  // its build and the processors its kernels are for

// Which one computes products of more than sixteen rows: "own", "openblas", or "auto": for each shape the one
// that was faster when it was first seen, which is remembered in a file so that later runs choose the same
// (see gemm_auto.cpp). Own unless set_gemm or the environment variable CHAPBOOK_GEMM say otherwise.
enum class Gemm : uint8_t { own, openblas, automatic };
Gemm gemm_choice();
void set_gemm(std::string_view name);
// The faster of the two for this shape.
Gemm faster_gemm(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                 Matrix<float> y);

// The epilogue for a part of y, rows i to i + rows and columns j to j + columns, whose sums lie at `sums`; if
// y is f32, that may be there. Its rows are dense.
void finish(const Epilogue& epilogue, Matrix<float> sums, const View& y, int64_t i, int64_t rows, int64_t j,
            int64_t columns);

// A matrix whose rows are dense, as a view.
template <class T>
View view_of(Matrix<T> x, int64_t rows, int64_t columns) {
  return {x.data, dtype_of<T>(), {rows, columns}, {x.row_stride, 1}};
}

// The vectors our own product uses: amx, avx512bf16, avx512, avx2 or portable, the widest this processor has
// unless set_gemm_vectors or the environment variable CHAPBOOK_VECTORS say otherwise; amx-as-written and
// avx512bf16-as-written compute on any processor what the first two do, slowly.
std::string_view gemm_vectors();
std::string_view describe_gemm_vectors();  // "avx512, bf16 in pairs"
void set_gemm_vectors(std::string_view name);

// Their innermost loops: for floats, and for pairs of bf16, which is null where there are no instructions for
// them (gemm_kernel.h).
template <class Unit>
struct MicroKernel;
struct Pair;
const MicroKernel<float>* kernel_of_floats();
const MicroKernel<Pair>* kernel_of_pairs();

}  // namespace chapbook::cpu
