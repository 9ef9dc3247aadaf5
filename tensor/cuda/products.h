// Products: matrix products by cuBLASLt. Once for each kind of product it asks how that is computed best, and
// remembers the answer.
#pragma once
#include <cublasLt.h>

#include <array>
#include <map>
#include <memory>

#include "tensor/backend.h"

namespace chapbook {

// A matrix as cuBLASLt is told of it: along one axis its numbers lie side by side.
struct LtMatrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  bool transposed = false;   // a column's numbers lie side by side, not a row's
  int64_t leading = 0;       // numbers from one row (column, if transposed) to the next
  int64_t batch_stride = 0;  // numbers from one matrix of the batch to the next
};

// y = residual + activation(a b + bias), as in Epilogue: a (m, k), b (k, n), y (m, n) and not transposed.
struct Product {
  int64_t m, n, k, batch = 1;
  LtMatrix a, b, y;
  LtMatrix residual = {};  // no data: none
  Activation activation = Activation::none;
  // Nothing, or of y's dtype; `before` has y's layout.
  void *bias = nullptr, *before = nullptr, *b_sums = nullptr;
};

class Products {
 public:
  Products();
  ~Products();
  Products(const Products&) = delete;

  // Starts the product on the stream. False, and nothing done, when cuBLASLt does not compute that.
  bool run(const Product& product);

  bool tf32() const { return tf32_; }  // f32 operands rounded to 10 fraction bits, for tensor cores

 private:
  // How one kind of product is computed.
  struct Plan {
    cublasLtMatmulDescOpaque_t work;
    cublasLtMatrixLayoutOpaque_t a, b, c, d;
    cublasLtMatmulAlgo_t algorithm;
  };
  using Key = std::array<int64_t, 28>;  // all that a plan depends on
  static Key key_of(const Product& product);
  std::unique_ptr<Plan> plan_for(const Product& product) const;

  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  bool tf32_;
  std::map<Key, std::unique_ptr<Plan>> plans_;  // without a plan: cuBLASLt has none
};

}  // namespace chapbook
