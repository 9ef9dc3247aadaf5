// One matrix product in one thread: what matmul and attention are made of.
#pragma once
#include <cstdint>

namespace chapbook::cpu {

// A matrix in memory; one of the two strides is 1.
template <class T>
struct Matrix {
  T* data;
  int64_t row_stride, column_stride;

  T* at(int64_t row, int64_t column) const { return data + row * row_stride + column * column_stride; }
  Matrix transposed() const { return {data, column_stride, row_stride}; }
};

// y = alpha a b + beta y with a (m, k), b (k, n) and y (m, n), whose column stride is 1; beta = 0 does not
// read y. By OpenBLAS if Chapbook was built with it, else by our own kernel.
template <class T>
void product(int64_t m, int64_t n, int64_t k, T alpha, Matrix<const T> a, Matrix<const T> b, T beta,
             Matrix<T> y);

// The same by our own kernel: a and b are packed into panels that a block of registers runs along (Goto & van
// de Geijn 2008, "Anatomy of high-performance matrix multiplication").
template <class T>
void own_product(int64_t m, int64_t n, int64_t k, T alpha, Matrix<const T> a, Matrix<const T> b, T beta,
                 Matrix<T> y);

}  // namespace chapbook::cpu
