// Kernels that are still being written, so that the others can be tested meanwhile. Touch this file when you
// add one of those below; it goes when the last is there.
#include "tensor/cuda/cuda_backend.h"

namespace chapbook {

static constexpr const char* not_yet = "this kernel is not written yet";

#if !__has_include("tensor/cuda/memory.cu")
void CudaBackend::fill(View, double) { fail(not_yet); }
void CudaBackend::copy(View, View) { fail(not_yet); }
#endif
#if !__has_include("tensor/cuda/random.cu")
void CudaBackend::random(Distribution, uint64_t, uint64_t, View) { fail(not_yet); }
#endif
#if !__has_include("tensor/cuda/reduce.cu")
void CudaBackend::reduce(Reduce, View, View) { fail(not_yet); }
void CudaBackend::argmax(View, View) { fail(not_yet); }
void CudaBackend::square_sum(std::span<const View>, View) { fail(not_yet); }
#endif
#if !__has_include("tensor/cuda/norm.cu")
void CudaBackend::layer_norm(View, View, View, double, View, View, View) { fail(not_yet); }
void CudaBackend::layer_norm_backward(View, View, View, View, View, View, View, View) { fail(not_yet); }
#endif
#if !__has_include("tensor/cuda/rows.cu")
void CudaBackend::gather_rows(View, View, View) { fail(not_yet); }
void CudaBackend::scatter_add_rows(View, View, View) { fail(not_yet); }
#endif
#if !__has_include("tensor/cuda/attention.cu")
void CudaBackend::attention(View, View, View, double, View, View) { fail(not_yet); }
#endif
#if !__has_include("tensor/cuda/attention_backward.cu") && !__has_include("tensor/cuda/attention.cu")
void CudaBackend::attention_backward(View, View, View, double, View, View, View, View, View, View) {
  fail(not_yet);
}
#endif
#if !__has_include("tensor/cuda/adamw.cu")
void CudaBackend::adamw(const AdamWStep&, std::span<const AdamWPart>) { fail(not_yet); }
#endif

}  // namespace chapbook
