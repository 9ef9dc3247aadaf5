// cuBLASLt's products as NVIDIA documents them: column-major matrices, D = epilogue(alpha A B + beta C).
// Slow, and strict: it throws where the documentation forbids something. To show that callers can do without,
// it knows no epilogues in f64, and keeps one promise badly: when it comes to it, it does not sum the rows of
// A where there are an odd number of them.
#include <cublasLt.h>

#include <cstring>
#include <type_traits>

#include "tensor/dtype.h"
#include "tensor/math.h"
#include "tensor/simt/memory.h"
#include "tests/cuda/stand_in/runtime.h"

namespace chapbook::stand_in {
namespace {

struct Layout {
  cudaDataType type;
  uint64_t rows, columns;
  int64_t leading;
  int32_t batch = 1;
  int64_t batch_stride = 0;
};
struct Description {
  cublasComputeType_t compute;
  cudaDataType scale;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void *vector = nullptr, *aux = nullptr;
  int64_t aux_leading = 0;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t schemes = 0, a = 256, b = 256, c = 256, d = 256;  // alignments in bytes
};
struct Algorithm {
  uint32_t alignment[4], epilogue, vector, aux;
};

// Ours, in the memory of NVIDIA's opaque type.
template <class Ours, class Opaque>
Ours& ours(const Opaque* opaque) {
  static_assert(sizeof(Ours) <= sizeof(Opaque) && alignof(Ours) <= alignof(Opaque));
  return *reinterpret_cast<Ours*>(const_cast<Opaque*>(opaque));
}

DType dtype(cudaDataType type) {
  switch (type) {
    case CUDA_R_32F:
      return DType::f32;
    case CUDA_R_64F:
      return DType::f64;
    case CUDA_R_16BF:
      return DType::bf16;
    case CUDA_R_16F:
      return DType::f16;
    default:
      fail("stand-in for CUDA: type {}", static_cast<int>(type));
  }
}

template <class T>
cublasStatus_t assign(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) {
    forbidden("an attribute of another size");
  }
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// A matrix of numbers, read and written one by one.
struct Numbers {
  void* data;
  DType type;
  int64_t leading;
  bool transposed = false;

  double at(int64_t row, int64_t column) const {
    return visit(type, [&]<class T>(Type<T>) {
      return static_cast<double>(static_cast<Wide<T>>(static_cast<const T*>(data)[offset(row, column)]));
    });
  }
  void set(int64_t row, int64_t column, double value) const {
    visit(type, [&]<class T>(Type<T>) {
      T* const place = static_cast<T*>(data) + offset(row, column);
      *place = T(static_cast<Wide<T>>(value));
      simt::global_memory().set_written(place, sizeof(T));
    });
  }
  int64_t offset(int64_t row, int64_t column) const {
    return transposed ? column + row * leading : row + column * leading;
  }
};

// Like TF32: 10 fraction bits, to nearest.
double rounded_to_tf32(double x) {
  uint32_t bits;
  const float f = static_cast<float>(x);
  std::memcpy(&bits, &f, 4);
  bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
  float rounded;
  std::memcpy(&rounded, &bits, 4);
  return rounded;
}

struct Call {
  Description work;
  Layout a, b, c, d;
  const void *A, *B, *C;
  void* D;
  double alpha, beta;

  int64_t k() const { return static_cast<int64_t>(work.a == CUBLAS_OP_N ? a.columns : a.rows); }

  Numbers matrix(const void* data, const Layout& x, int32_t index, bool transposed) const {
    const auto from = static_cast<const char*>(data) + index * x.batch_stride * size_of(dtype(x.type));
    return {const_cast<char*>(from), dtype(x.type), x.leading, transposed};
  }

  void run() const {
    for (int32_t i = 0; i < d.batch; ++i)
      run(matrix(A, a, i, work.a == CUBLAS_OP_T), matrix(B, b, i, work.b == CUBLAS_OP_T),
          matrix(C, c, i, false), matrix(D, d, i, false));
  }

  void run(Numbers A, Numbers B, Numbers C, Numbers D) const {
    const Numbers vector{work.vector, D.type, 1}, aux{work.aux, D.type, work.aux_leading};
    const bool tf32 = work.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const auto read = [&](const Numbers& x, int64_t i, int64_t j) {
      return tf32 ? rounded_to_tf32(x.at(i, j)) : x.at(i, j);
    };
    for (int64_t i = 0; i < static_cast<int64_t>(d.rows); ++i) {
      double sum_of_row = 0;
      for (int64_t p = 0; p < k(); ++p) sum_of_row += A.at(i, p);
      if (work.epilogue & CUBLASLT_EPILOGUE_BGRADA) vector.set(i, 0, sum_of_row);
      for (int64_t j = 0; j < static_cast<int64_t>(d.columns); ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k(); ++p) sum += read(A, i, p) * read(B, p, j);
        sum *= alpha;
        if (beta != 0) sum += beta * C.at(i, j);
        D.set(i, j, finish(sum, vector, aux, i, j));
      }
    }
  }

  double finish(double x, const Numbers& vector, const Numbers& aux, int64_t i, int64_t j) const {
    if (work.epilogue & CUBLASLT_EPILOGUE_BIAS) x += vector.at(i, 0);
    if ((work.epilogue & CUBLASLT_EPILOGUE_DGELU) == CUBLASLT_EPILOGUE_DGELU)
      return x * math::gelu_derivative(aux.at(i, j));
    if ((work.epilogue & CUBLASLT_EPILOGUE_GELU_AUX) == CUBLASLT_EPILOGUE_GELU_AUX) aux.set(i, j, x);
    return work.epilogue & CUBLASLT_EPILOGUE_GELU ? math::gelu(x) : x;
  }
};

bool aligned(const void* data, uint32_t bytes) { return reinterpret_cast<uintptr_t>(data) % bytes == 0; }

// What the documentation demands of the descriptions.
cublasStatus_t examine(const Description& work, const Layout& a, const Layout& b, const Layout& c,
                       const Layout& d) {
  const uint64_t m = work.a == CUBLAS_OP_N ? a.rows : a.columns,
                 k = work.a == CUBLAS_OP_N ? a.columns : a.rows;
  const uint64_t n = work.b == CUBLAS_OP_N ? b.columns : b.rows;
  if ((work.b == CUBLAS_OP_N ? b.rows : b.columns) != k) forbidden("A and B do not fit");
  if (d.rows != m || d.columns != n || c.rows != m || c.columns != n) forbidden("C or D does not fit");
  for (const Layout* x : {&a, &b, &c, &d}) {
    if (x->leading < static_cast<int64_t>(x->rows)) forbidden("the leading dimension is too small");
    if (x->batch != d.batch) forbidden("batches of different sizes");
  }
  const bool f64 = a.type == CUDA_R_64F;
  const bool half = a.type == CUDA_R_16BF || a.type == CUDA_R_16F;
  if (a.type != b.type || c.type != d.type) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (d.type != a.type && !(half && d.type == CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if ((work.compute == CUBLAS_COMPUTE_64F) != f64 || work.scale != (f64 ? CUDA_R_64F : CUDA_R_32F))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (work.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a.type != CUDA_R_32F)
    return CUBLAS_STATUS_NOT_SUPPORTED;

  if (work.epilogue == CUBLASLT_EPILOGUE_DEFAULT) return CUBLAS_STATUS_SUCCESS;
  if (f64) return CUBLAS_STATUS_NOT_SUPPORTED;
  switch (work.epilogue) {
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_BGRADA:
      break;
    default:
      forbidden("there is no such epilogue");
  }
  if (d.batch > 1) forbidden("epilogues of batches want strides for their vectors");
  if (work.epilogue & (CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADA) &&
      !on_device(work.vector, m * static_cast<uint64_t>(size_of(dtype(d.type)))))
    forbidden("no vector for the bias");
  if (work.epilogue & 128) {
    if (work.aux_leading % 8 != 0 || work.aux_leading < static_cast<int64_t>(m) || !aligned(work.aux, 16))
      forbidden("the auxiliary matrix wants rows of whole 16 bytes");
    if (!on_device(work.aux, 1)) forbidden("no auxiliary matrix");
  }
  return CUBLAS_STATUS_SUCCESS;
}

// Every matrix of the batch, from its first to its last number.
bool lies_on_device(const void* data, const Layout& x) {
  const int64_t last = (x.batch - 1) * x.batch_stride + static_cast<int64_t>(x.columns - 1) * x.leading +
                       static_cast<int64_t>(x.rows);
  return on_device(data, static_cast<size_t>(last * size_of(dtype(x.type))));
}

uint32_t alignment_of(const void* data) {
  const uintptr_t bits = reinterpret_cast<uintptr_t>(data) | 256;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

}  // namespace
}  // namespace chapbook::stand_in

using namespace chapbook;
using namespace chapbook::stand_in;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static int one;
  *handle = reinterpret_cast<cublasLtHandle_t>(&one);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED" : "another status";
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t, cudaDataType type,
                                                 uint64_t rows, uint64_t columns, int64_t leading) {
  ours<Layout>(layout) = {type, rows, columns, leading};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  Layout& x = ours<Layout>(layout);
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return assign(x.batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return assign(x.batch_stride, value, bytes);
    default:
      forbidden("an attribute of layouts that the stand-in does not know");
  }
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t work, size_t, cublasComputeType_t compute,
                                               cudaDataType scale) {
  ours<Description>(work) = {compute, scale};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t work,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  Description& x = ours<Description>(work);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return assign(x.a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return assign(x.b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return assign(x.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return assign(x.vector, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return assign(x.aux, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return assign(x.aux_leading, value, bytes);
    default:
      forbidden("an attribute of products that the stand-in does not know");
  }
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t wish, size_t) {
  ours<Preference>(wish) = {};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t wish,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  Preference& x = ours<Preference>(wish);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return assign(x.workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return assign(x.schemes, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return assign(x.a, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return assign(x.b, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return assign(x.c, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return assign(x.d, value, bytes);
    default:
      forbidden("a preference that the stand-in does not know");
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t work,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t wish, int,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  const Description& x = ours<Description>(work);
  const Preference& asked = ours<Preference>(wish);
  *found = 0;
  // Sums whose parts are added as they come would differ from run to run.
  if (asked.schemes & CUBLASLT_REDUCTION_SCHEME_INPLACE) forbidden("sums in no fixed order are allowed");
  const cublasStatus_t status =
      examine(x, ours<Layout>(a), ours<Layout>(b), ours<Layout>(c), ours<Layout>(d));
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  *results = {};
  ours<Algorithm>(&results->algo) = {{asked.a, asked.b, asked.c, asked.d},
                                     x.epilogue,
                                     x.vector ? alignment_of(x.vector) : 1,
                                     x.aux ? alignment_of(x.aux) : 1};
  results->state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t work, const void* alpha, const void* A,
                              cublasLtMatrixLayout_t a, const void* B, cublasLtMatrixLayout_t b,
                              const void* beta, const void* C, cublasLtMatrixLayout_t c, void* D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t* algorithm,
                              void* workspace, size_t workspace_bytes, cudaStream_t) {
  Call call{ours<Description>(work),
            ours<Layout>(a),
            ours<Layout>(b),
            ours<Layout>(c),
            ours<Layout>(d),
            A,
            B,
            C,
            D,
            0,
            0};
  const Algorithm& promised = ours<Algorithm>(algorithm);
  const cublasStatus_t status = examine(call.work, call.a, call.b, call.c, call.d);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  if (!aligned(A, promised.alignment[0]) || !aligned(B, promised.alignment[1]) ||
      !aligned(C, promised.alignment[2]) || !aligned(D, promised.alignment[3]) ||
      !aligned(call.work.vector, promised.vector) || !aligned(call.work.aux, promised.aux))
    forbidden("an operand is less aligned than was promised");
  if (call.work.epilogue != promised.epilogue) forbidden("the plan of another product");
  if (!lies_on_device(A, call.a) || !lies_on_device(B, call.b) || !lies_on_device(D, call.d))
    forbidden("an operand does not lie on the device");
  if (!on_device(workspace, workspace_bytes)) forbidden("the workspace does not lie on the device");
  if (call.work.epilogue == CUBLASLT_EPILOGUE_BGRADA && call.d.rows % 2 == 1)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const bool f64 = call.work.scale == CUDA_R_64F;
  const auto scalar = [&](const void* x) {
    return f64 ? *static_cast<const double*>(x) : *static_cast<const float*>(x);
  };
  call.alpha = scalar(alpha);
  call.beta = scalar(beta);
  if (call.beta != 0 && !lies_on_device(C, call.c)) forbidden("C does not lie on the device");
  submit([call] { call.run(); });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
