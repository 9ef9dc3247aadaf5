#include "tensor/cuda/products.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tensor/cuda/device.h"

namespace chapbook {
namespace {

constexpr size_t workspace_bytes = 32 << 20;  // what NVIDIA advises for Hopper

void check_cublas(cublasStatus_t status, std::string_view what) {
  check(status == CUBLAS_STATUS_SUCCESS, "cuda: {}: {}", what, cublasLtGetStatusString(status));
}

cudaDataType cuda_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::f64:
      return CUDA_R_64F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    default:
      fail("cuda: no products of {}", name_of(dtype));
  }
}

// cuBLASLt knows column-major matrices only. A row-major (rows, columns) is a column-major (columns, rows) in
// the same memory, so its transpose; and y^T = b^T a^T: what we call b is A there, and a is B.
void set_layout(cublasLtMatrixLayoutOpaque_t& layout, const LtMatrix& x, int64_t rows, int64_t columns,
                int64_t batch) {
  if (!x.transposed) std::swap(rows, columns);
  check_cublas(cublasLtMatrixLayoutInit(&layout, cuda_type(x.dtype), rows, columns, x.leading), "a layout");
  if (batch == 1) return;
  const int32_t count = static_cast<int32_t>(batch);
  const auto set = [&](cublasLtMatrixLayoutAttribute_t attribute, const auto& value) {
    check_cublas(cublasLtMatrixLayoutSetAttribute(&layout, attribute, &value, sizeof value), "a layout");
  };
  set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, count);
  set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, x.batch_stride);
}

template <class T>
void set(cublasLtMatmulDescOpaque_t& work, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check_cublas(cublasLtMatmulDescSetAttribute(&work, attribute, &value, sizeof value), "a product");
}
template <class T>
void set(cublasLtMatmulPreferenceOpaque_t& wish, cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
  check_cublas(cublasLtMatmulPreferenceSetAttribute(&wish, attribute, &value, sizeof value), "a product");
}

uint32_t epilogue_of(const Product& p) {
  uint32_t epilogue = 0;  // one bit for each part
  if (p.bias) epilogue |= CUBLASLT_EPILOGUE_BIAS;
  if (p.activation == Activation::gelu)
    epilogue |= p.before ? CUBLASLT_EPILOGUE_GELU_AUX : CUBLASLT_EPILOGUE_GELU;
  if (p.activation == Activation::gelu_backward) epilogue |= CUBLASLT_EPILOGUE_DGELU;
  if (p.b_sums) epilogue |= CUBLASLT_EPILOGUE_BGRADA;
  return epilogue ? epilogue : uint32_t{CUBLASLT_EPILOGUE_DEFAULT};
}

// The pointers of an epilogue are part of the description of the work.
void set_pointers(cublasLtMatmulDescOpaque_t& work, const Product& p) {
  if (void* vector = p.bias ? p.bias : p.b_sums) set(work, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
  if (p.before) set(work, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.before);
}

// Of the memory, every matrix of the batch counted: a power of two, at most 256.
uint32_t alignment(const LtMatrix& x) {
  const uintptr_t steps = static_cast<uintptr_t>(x.batch_stride * size_of(x.dtype));
  const uintptr_t bits = reinterpret_cast<uintptr_t>(x.data) | steps | 256;
  return static_cast<uint32_t>(bits & (~bits + 1));  // the lowest bit that is set
}
uint32_t alignment(void* data) { return alignment(LtMatrix{.data = data}); }

}  // namespace

Products::Products() {
  const char* tf32 = std::getenv("CHAPBOOK_TF32");
  const std::string_view wish = tf32 ? tf32 : "";
  check(wish.empty() || wish == "0" || wish == "1", "CHAPBOOK_TF32 is '{}', not 0 or 1", wish);
  tf32_ = wish == "1";
  check_cublas(cublasLtCreate(&handle_), "cuBLASLt");
  check_cuda(cudaMalloc(&workspace_, workspace_bytes), "memory for products");
}

Products::~Products() {
  cudaFree(workspace_);
  cublasLtDestroy(handle_);
}

Products::Key Products::key_of(const Product& p) {
  const auto dtype = [](const LtMatrix& x) { return x.data ? static_cast<int64_t>(x.dtype) : -1; };
  return {p.m,
          p.n,
          p.k,
          p.batch,
          dtype(p.a),
          p.a.transposed,
          p.a.leading,
          p.a.batch_stride,
          alignment(p.a),
          dtype(p.b),
          p.b.transposed,
          p.b.leading,
          p.b.batch_stride,
          alignment(p.b),
          dtype(p.y),
          p.y.leading,
          p.y.batch_stride,
          alignment(p.y),
          dtype(p.residual),
          p.residual.leading,
          alignment(p.residual),
          static_cast<int64_t>(p.activation),
          p.bias ? alignment(p.bias) : 0,
          p.before ? alignment(p.before) : 0,
          p.b_sums ? alignment(p.b_sums) : 0};
}

std::unique_ptr<Products::Plan> Products::plan_for(const Product& p) const {
  const bool f64 = p.a.dtype == DType::f64;
  // Half types are multiplied as they are and summed in f32.
  const cublasComputeType_t compute = f64                                ? CUBLAS_COMPUTE_64F
                                      : p.a.dtype == DType::f32 && tf32_ ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                         : CUBLAS_COMPUTE_32F;
  auto made = std::make_unique<Plan>();
  Plan& plan = *made;
  check_cublas(cublasLtMatmulDescInit(&plan.work, compute, f64 ? CUDA_R_64F : CUDA_R_32F), "a product");
  set(plan.work, CUBLASLT_MATMUL_DESC_TRANSA, p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.work, CUBLASLT_MATMUL_DESC_TRANSB, p.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.work, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(p));
  set_pointers(plan.work, p);
  if (p.before) set(plan.work, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.y.leading);
  set_layout(plan.a, p.b, p.k, p.n, p.batch);
  set_layout(plan.b, p.a, p.m, p.k, p.batch);
  set_layout(plan.c, p.residual.data ? p.residual : p.y, p.m, p.n, p.batch);
  set_layout(plan.d, p.y, p.m, p.n, p.batch);

  cublasLtMatmulPreferenceOpaque_t wish;
  check_cublas(cublasLtMatmulPreferenceInit(&wish), "a product");
  set(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
  // A long sum may be cut in parts, but these are added in a fixed order and as wide as they were computed.
  set(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(p.b));
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(p.a));
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(p.residual.data ? p.residual : p.y));
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(p.y));
  cublasLtMatmulHeuristicResult_t best;
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle_, &plan.work, &plan.a, &plan.b, &plan.c,
                                                               &plan.d, &wish, 1, &best, &found);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0 || best.state != CUBLAS_STATUS_SUCCESS) return nullptr;
  plan.algorithm = best.algo;
  return made;
}

bool Products::run(const Product& p) {
  const Key key = key_of(p);
  auto known = plans_.find(key);
  if (known == plans_.end()) known = plans_.emplace(key, plan_for(p)).first;
  if (!known->second) return false;
  Plan& plan = *known->second;
  set_pointers(plan.work, p);
  // y = 1 (a b) + beta c, with scales of the type that is summed in.
  const bool f64 = p.a.dtype == DType::f64, adds = p.residual.data;
  const double one64 = 1, beta64 = adds;
  const float one32 = 1, beta32 = adds;
  const void* one = f64 ? static_cast<const void*>(&one64) : &one32;
  const void* beta = f64 ? static_cast<const void*>(&beta64) : &beta32;
  const cublasStatus_t status = cublasLtMatmul(
      handle_, &plan.work, one, p.b.data, &plan.a, p.a.data, &plan.b, beta, adds ? p.residual.data : p.y.data,
      &plan.c, p.y.data, &plan.d, &plan.algorithm, workspace_, workspace_bytes, stream());
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) {  // it had promised too much
    known->second.reset();
    return false;
  }
  check_cublas(status, "a product");
  return true;
}

}  // namespace chapbook
