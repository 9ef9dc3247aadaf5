// How kernels go over all elements of some operands of one shape: one thread for each element, or for a pack
// of them where every operand's numbers lie side by side along the last axis of the merged loop.
//
// Kernels take a Loop or a View as `const __grid_constant__`: they read it where the launch has put it, in
// the constant cache, and each thread does without a copy of its own.
#pragma once
#include "tensor/cuda/launch.h"
#include "tensor/cuda/pack.h"

namespace chapbook {

// Numbers in memory, of a dtype that is known when the kernel is compiled.
template <class T>
struct Known {
  static constexpr int pack = full_pack<T>;
  using number = Wide<T>;
  T* data;

  explicit Known(const View& x) : data(x.as<T>()) {}
  __device__ explicit Known(T* from) : data(from) {}
  __device__ number read(int64_t at) const { return static_cast<number>(data[at]); }
  template <int n>
  __device__ Pack<Wide<T>, n> load(int64_t at) const {
    return chapbook::load<n>(data + at);
  }
  template <int n, class W>
  __device__ void store(int64_t at, const Pack<W, n>& x) const {
    chapbook::store<n>(data + at, x);
  }
};

// Numbers of any dtype, read and written as double, one at a time: for what is too rare to have kernels of
// its own.
struct Any {
  static constexpr int pack = 1;
  using number = double;
  void* data;
  DType dtype;

  Any() = default;
  explicit Any(const View& x) : data(x.data), dtype(x.dtype) {}
  template <class T>
  __device__ T& element(int64_t at) const {
    return static_cast<T*>(data)[at];
  }
  __device__ double read(int64_t at) const {
    switch (dtype) {
      case DType::f32:
        return element<float>(at);
      case DType::f64:
        return element<double>(at);
      case DType::bf16:
        return static_cast<float>(element<bf16>(at));
      case DType::f16:
        return static_cast<float>(element<f16>(at));
      case DType::i32:
        return element<int32_t>(at);
      case DType::u16:
        return element<uint16_t>(at);
      case DType::u8:
        return element<uint8_t>(at);
    }
    return 0;
  }
  __device__ void write(int64_t at, double x) const {
    switch (dtype) {
      case DType::f32:
        element<float>(at) = number_as<float>(x);
        break;
      case DType::f64:
        element<double>(at) = x;
        break;
      case DType::bf16:
        element<bf16>(at) = number_as<bf16>(x);
        break;
      case DType::f16:
        element<f16>(at) = number_as<f16>(x);
        break;
      case DType::i32:
        element<int32_t>(at) = number_as<int32_t>(x);
        break;
      case DType::u16:
        element<uint16_t>(at) = number_as<uint16_t>(x);
        break;
      case DType::u8:
        element<uint8_t>(at) = number_as<uint8_t>(x);
        break;
    }
  }
  template <int n>
  __device__ Pack<double, n> load(int64_t at) const {
    static_assert(n == 1);
    return {read(at)};
  }
  template <int n, class W>
  __device__ void store(int64_t at, const Pack<W, n>& x) const {
    static_assert(n == 1);
    write(at, x[0]);
  }
};

// Calls f(Type<Known<T>>{}) where all views are of one dtype that models are trained in, else f(Type<Any>{}).
template <class F>
void visit_numbers(std::initializer_list<View> views, F&& f) {
  const auto all = [&](DType dtype) {
    return std::all_of(views.begin(), views.end(), [&](const View& x) { return x.dtype == dtype; });
  };
  if (all(DType::f32)) return f(Type<Known<float>>{});
  if (all(DType::bf16)) return f(Type<Known<bf16>>{});
  if (all(DType::f16)) return f(Type<Known<f16>>{});
  f(Type<Any>{});
}

// n numbers along the last axis of the loop, of operand x, whose step there is 1, or 0 where one number is
// repeated. A pack of one may have any step.
template <int n, class X>
__device__ auto load_along(const X& x, int64_t at, int64_t step) {
  if (step != 0 || n == 1) return x.template load<n>(at);
  const auto one = x.template load<1>(at);
  std::remove_cvref_t<decltype(x.template load<n>(at))> repeated;
  for (int i = 0; i < n; ++i) repeated[i] = one[0];
  return repeated;
}

// The number of the thread in its grid of one axis.
__device__ inline int64_t thread_number() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

// Starts packed(loop, packs, arguments...) with a thread for each pack of n elements where all operands can
// be read in such packs, else single(...) with a thread for each element. operands[0] is the one written to.
template <int n, auto packed, auto single, size_t N, class... Arguments>
void launch_each(const std::array<View, N>& operands, Arguments... arguments) {
  std::array<Strides, N> strides;
  for (size_t i = 0; i < N; ++i) strides[i] = operands[i].strides;
  const Loop<N> loop(operands[0].shape, strides);
  bool whole = n > 1 && loop.shape[-1] % n == 0;
  for (size_t i = 0; i < N; ++i) {
    const View merged{operands[i].data, operands[i].dtype, loop.shape, loop.strides[i]};
    whole = whole && ((i > 0 && merged.strides[-1] == 0) || in_packs(merged, n));
  }
  const int64_t packs = loop.shape.count() / (whole ? n : 1);
  if (packs == 0) return;
  const Grid grid{blocks_for(packs, 256), 256};
  if (whole)
    launch<packed>(grid, loop, packs, arguments...);
  else
    launch<single>(grid, loop, packs, arguments...);
}

}  // namespace chapbook
