// Elementwise ops: one kernel for each formula of tensor/elementwise.h. They wait for memory, so what counts
// is that each thread moves 16 bytes at once; and that a half number is no more than some 25 instructions,
// which is what an H200 has time for while the next four bytes travel. GELU is 14.
#include "tensor/elementwise.h"

#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/each.h"

namespace chapbook {

template <class Formula, class X, int n>
__global__ void unary_numbers(const __grid_constant__ Loop<2> loop, int64_t packs, X y, X x) {
  const int64_t pack = thread_number();
  if (pack >= packs) return;
  const auto [to, from] = loop.at(pack * n);
  auto numbers = load_along<n>(x, from, loop.step(1));
  for (int i = 0; i < n; ++i) numbers[i] = Formula{}(numbers[i]);
  y.store(to, numbers);
}

template <class Formula, class X, class Y, int n>
__global__ void binary_numbers(const __grid_constant__ Loop<3> loop, int64_t packs, Y y, X a, X b) {
  const int64_t pack = thread_number();
  if (pack >= packs) return;
  const auto [to, left, right] = loop.at(pack * n);
  auto numbers = load_along<n>(a, left, loop.step(1));
  const auto others = load_along<n>(b, right, loop.step(2));
  for (int i = 0; i < n; ++i) numbers[i] = Formula{}(numbers[i], others[i]);
  y.store(to, numbers);
}

template <class X, int n>
__global__ void where_numbers(const __grid_constant__ Loop<4> loop, int64_t packs, X y,
                              Known<uint8_t> condition, X a, X b) {
  const int64_t pack = thread_number();
  if (pack >= packs) return;
  const auto [to, chosen, left, right] = loop.at(pack * n);
  const auto choice = load_along<n>(condition, chosen, loop.step(1));
  auto numbers = load_along<n>(a, left, loop.step(2));
  const auto others = load_along<n>(b, right, loop.step(3));
  for (int i = 0; i < n; ++i) numbers[i] = choice[i] != 0 ? numbers[i] : others[i];
  y.store(to, numbers);
}

// y (..., m, n)
__global__ void triangle_numbers(const __grid_constant__ View y, int64_t count, int64_t diagonal) {
  const int64_t i = thread_number();
  if (i >= count) return;
  const int64_t rows = y.shape.size[y.shape.rank - 2], columns = y.shape.size[y.shape.rank - 1];
  const bool one = i % columns <= i / columns % rows + diagonal;
  static_cast<uint8_t*>(y.data)[offset_of(i, y.shape, y.strides)] = one;
}

template <Binary op>
constexpr bool compares(BinaryFormula<op>) {
  return is_comparison(op);
}

void CudaBackend::unary(Unary op, In x, Out y) {
  visit(op, [&](auto formula) {
    using F = decltype(formula);
    visit_numbers({x, y}, [&]<class X>(Type<X>) {
      launch_each<X::pack, unary_numbers<F, X, X::pack>, unary_numbers<F, X, 1>>(std::array<View, 2>{y, x},
                                                                                 X(y), X(x));
    });
  });
}

void CudaBackend::binary(Binary op, In a, In b, Out y) {
  visit(op, [&](auto formula) {
    using F = decltype(formula);
    visit_numbers({a, b, compares(F{}) ? View(a) : y}, [&]<class X>(Type<X>) {
      using Y = std::conditional_t<compares(F{}), Known<uint8_t>, X>;
      launch_each<X::pack, binary_numbers<F, X, Y, X::pack>, binary_numbers<F, X, Y, 1>>(
          std::array<View, 3>{y, a, b}, Y(y), X(a), X(b));
    });
  });
}

void CudaBackend::where(In condition, In a, In b, Out y) {
  visit_numbers({a, b, y}, [&]<class X>(Type<X>) {
    launch_each<X::pack, where_numbers<X, X::pack>, where_numbers<X, 1>>(
        std::array<View, 4>{y, condition, a, b}, X(y), Known<uint8_t>(condition), X(a), X(b));
  });
}

void CudaBackend::triangle(Out y, int64_t diagonal) {
  if (const int64_t count = y.count())
    launch<triangle_numbers>({blocks_for(count, 256), 256}, y, count, diagonal);
}

}  // namespace chapbook
