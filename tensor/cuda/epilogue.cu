#include "tensor/cuda/epilogue.h"

#include "tensor/cuda/launch.h"
#include "tensor/cuda/pack.h"

namespace chapbook {
namespace {

// A matrix with any strides; a vector is a matrix whose rows are all the same.
template <class T>
struct Matrix {
  T* data;  // or nothing
  int64_t row = 0, column = 0;

  Matrix(const View& x) : data(x.as<T>()) {
    if (x) column = x.strides[-1];
    if (x && x.shape.rank == 2) row = x.strides[0];
  }
  CHAPBOOK_DEVICE T& operator()(int64_t i, int64_t j) const { return data[i * row + j * column]; }
};

// y[i, j] = residual[i, j] + activation(sum[i, j] + bias[j]), as in tensor/reference/matmul.cpp. One thread
// for each number, neighbours in a row side by side.
template <class T>
__global__ void finish_numbers(Matrix<Wide<T>> sum, Matrix<T> y, Matrix<T> bias, Activation activation,
                               Matrix<T> before, Matrix<T> residual, int64_t m, int64_t n) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= m * n) return;
  const int64_t i = at / n, j = at % n;
  Wide<T> x = sum(i, j);
  if (bias.data) x += static_cast<Wide<T>>(bias(i, j));
  if (activation == Activation::gelu) {
    if (before.data) before(i, j) = T(x);
    x = math::gelu(x);
  } else if (activation == Activation::gelu_backward) {
    x *= math::gelu_derivative(static_cast<Wide<T>>(before(i, j)));
  }
  if (residual.data) x += static_cast<Wide<T>>(residual(i, j));
  y(i, j) = T(x);
}

template <class T>
void finish(View sum, View y, const Epilogue& epilogue) {
  const int64_t m = y.shape[0], n = y.shape[1];
  constexpr unsigned threads = 256;
  launch<finish_numbers<T>>({blocks_for(m * n, threads), threads}, Matrix<Wide<T>>(sum), Matrix<T>(y),
                            Matrix<T>(epilogue.bias), epilogue.activation, Matrix<T>(epilogue.before),
                            Matrix<T>(epilogue.residual), m, n);
}

}  // namespace

void finish_product(View sum, View y, const Epilogue& epilogue) {
  if (y.count() == 0) return;
  switch (y.dtype) {
    case DType::f32:
      return finish<float>(sum, y, epilogue);
    case DType::f64:
      return finish<double>(sum, y, epilogue);
    case DType::bf16:
      return finish<bf16>(sum, y, epilogue);
    case DType::f16:
      return finish<f16>(sum, y, epilogue);
    default:
      fail("matmul: an epilogue wants floating point, not {}", name_of(y.dtype));
  }
}

}  // namespace chapbook
