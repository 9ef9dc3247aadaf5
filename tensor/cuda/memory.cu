// Filling and copying: where nothing is converted, bits as they are.
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/each.h"

namespace chapbook {

// Numbers that nobody computes with.
template <class T>
struct Bits {
  static constexpr int pack = full_pack<T>;
  T* data;

  explicit Bits(const View& x) : data(x.as<T>()) {}
  template <int n>
  __device__ Pack<T, n> load(int64_t at) const {
    return *reinterpret_cast<const Pack<T, n>*>(data + at);
  }
  template <int n>
  __device__ void store(int64_t at, const Pack<T, n>& x) const {
    *reinterpret_cast<Pack<T, n>*>(data + at) = x;
  }
};

template <class T, int n>
__global__ void fill_numbers(const __grid_constant__ Loop<1> loop, int64_t packs, Bits<T> y, T value) {
  const int64_t pack = thread_number();
  if (pack >= packs) return;
  Pack<T, n> numbers;
  for (int i = 0; i < n; ++i) numbers[i] = value;
  y.store(loop.at(pack * n)[0], numbers);
}

// X and Y: Bits, or Known or Any where the dtype changes.
template <class X, class Y, int n>
__global__ void copy_numbers(const __grid_constant__ Loop<2> loop, int64_t packs, Y y, X x) {
  const int64_t pack = thread_number();
  if (pack >= packs) return;
  const auto [to, from] = loop.at(pack * n);
  y.store(to, load_along<n>(x, from, loop.step(1)));
}

template <class X, class Y>
static void copy_as(const View& x, const View& y) {
  constexpr int n = std::max(X::pack, Y::pack);
  launch_each<n, copy_numbers<X, Y, n>, copy_numbers<X, Y, 1>>(std::array<View, 2>{y, x}, Y(y), X(x));
}

void CudaBackend::fill(Out y, double value) {
  visit(y.dtype, [&]<class T>(Type<T>) {
    constexpr int n = full_pack<T>;
    const T number = number_as<T>(value);
    launch_each<n, fill_numbers<T, n>, fill_numbers<T, 1>>(std::array<View, 1>{y}, Bits<T>(y), number);
  });
}

void CudaBackend::copy(In x, Out y) {
  const auto is = [&](DType from, DType to) { return x.dtype == from && y.dtype == to; };
  if (x.dtype == y.dtype)
    visit(x.dtype, [&]<class T>(Type<T>) { copy_as<Bits<T>, Bits<T>>(x, y); });
  else if (is(DType::f32, DType::bf16))
    copy_as<Known<float>, Known<bf16>>(x, y);
  else if (is(DType::bf16, DType::f32))
    copy_as<Known<bf16>, Known<float>>(x, y);
  else if (is(DType::f32, DType::f16))
    copy_as<Known<float>, Known<f16>>(x, y);
  else if (is(DType::f16, DType::f32))
    copy_as<Known<f16>, Known<float>>(x, y);
  else
    copy_as<Any, Any>(x, y);
}

}  // namespace chapbook
