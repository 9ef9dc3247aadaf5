// What the attention kernels share: the views they read, and who sees whom.
#pragma once
#include "tensor/cuda/exponential.h"
#include "tensor/cuda/pack.h"

namespace chapbook {

// The rows of one head: (rows, D), or one number for each row.
template <class T>
struct Head {
  T* data;
  int64_t row_step, step;

  CHAPBOOK_DEVICE T& operator()(int64_t row, int64_t d = 0) const { return data[row * row_step + d * step]; }
  // Whether n numbers of a row may be moved at once, from every n-th on.
  CHAPBOOK_DEVICE bool packs_of(int64_t n) const {
    return step == 1 && row_step % n == 0 && reinterpret_cast<uintptr_t>(data) % (n * sizeof(T)) == 0;
  }
};

// A view (B, H, rows, D) or (B, H, rows) as B H heads.
template <class T>
struct Heads {
  T* data;
  int64_t heads, batch_step, head_step, row_step, step;

  explicit Heads(const View& x)
      : data(x.as<T>()),
        heads(x.shape[1]),
        batch_step(x.strides[0]),
        head_step(x.strides[1]),
        row_step(x.strides[2]),
        step(x.shape.rank == 4 ? x.strides[3] : 0) {}
  CHAPBOOK_DEVICE Head<T> operator[](int64_t i) const {
    return {data + i / heads * batch_step + i % heads * head_step, row_step, step};
  }
};

// T queries over S keys: query t sees the keys 0 to S - T + t, each query one more than the one before.
struct Causal {
  int64_t T, S;
  CHAPBOOK_DEVICE int64_t keys_of(int64_t t) const { return S - T + t + 1; }
};

// Of the `lanes` neighbours in a warp that share a row; all of them get it.
template <int lanes, class Op, class N>
__device__ N row_reduce(N x) {
  for (int bit = lanes / 2; bit; bit /= 2) x = Op::combine(x, __shfl_xor_sync(0xffffffffu, x, bit));
  return x;
}

constexpr int64_t largest_head = 256;

}  // namespace chapbook
