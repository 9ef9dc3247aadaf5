// The cpu backend against the reference, on operands with guards around them that catch stray writes.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/random.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

inline ReferenceBackend& reference() {
  static ReferenceBackend backend;
  return backend;
}

inline CpuBackend& cpu_backend() {
  static CpuBackend backend;
  return backend;
}

// An operand inside a larger buffer: numbers that nobody may write, nor compute with, surround it, and fill
// the gaps between its rows.
class Operand {
 public:
  // `order` gives the order of the axes in memory, outermost first (empty: as they come); each row has `gap`
  // numbers after it.
  Operand(const Shape& shape, DType dtype = DType::f32, std::vector<int> order = {}, int64_t gap = 0) {
    if (order.empty()) {
      order.resize(shape.rank);
      std::iota(order.begin(), order.end(), 0);
    }
    view_.dtype = dtype;
    view_.shape = view_.strides = shape;
    int64_t step = 1;
    for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
      view_.strides[*axis] = step;
      step = step * std::max<int64_t>(1, shape[*axis]) + gap;
    }
    bytes_.assign((step + 2 * margin) * size_of(dtype), around);
    fill_own(bytes_, 0xa5);
  }

  View view() {
    View v = view_;
    v.data = bytes_.data() + margin * size_of(v.dtype);
    return v;
  }

  Operand& normal(uint64_t seed, double scale = 1) {
    Operand numbers(view_.shape);
    reference().random(Distribution::normal, seed, 0, numbers.view());
    const View from = numbers.view(), to = view();
    for (Index i(view_.shape); i; ++i) from.as<float>()[i.offset(from.strides)] *= static_cast<float>(scale);
    reference().copy(from, to);
    return *this;
  }
  Operand& below(int64_t n, uint64_t seed) {  // i32 in 0..n-1
    Random random{seed};
    const View v = view();
    for (Index i(v.shape); i; ++i)
      v.as<int32_t>()[i.offset(v.strides)] = static_cast<int32_t>(random.below(n));
    return *this;
  }

  double at(const Index& i) {
    const View v = view();
    return visit(v.dtype, [&]<class T>(Type<T>) {
      const T x = v.as<T>()[i.offset(v.strides)];
      if constexpr (sizeof(T) == 2 && !std::is_integral_v<T>)
        return static_cast<double>(static_cast<float>(x));
      else
        return static_cast<double>(x);
    });
  }

  // Whether every byte outside the view's own elements is as it was made.
  bool guards_whole() {
    std::vector<uint8_t> copy = bytes_;
    fill_own(copy, around);
    return std::all_of(copy.begin(), copy.end(), [](uint8_t byte) { return byte == around; });
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  static constexpr int64_t margin = 64;
  static constexpr uint8_t around = 0xff;  // NaN, or -1

  void fill_own(std::vector<uint8_t>& bytes, uint8_t byte) const {
    const int64_t size = size_of(view_.dtype);
    for (Index i(view_.shape); i; ++i)
      std::memset(bytes.data() + (margin + i.offset(view_.strides)) * size, byte, static_cast<size_t>(size));
  }

  View view_;
  std::vector<uint8_t> bytes_;
};

using Operands = std::vector<Operand>;
using Call = std::function<void(Backend&, Operands&)>;

// Runs `call` by the reference and by the cpu backend with 1, 2 and 5 threads on equal operands. Results (all
// operands are compared) must agree within `tolerance` times the largest magnitude of the operand, have the
// same bits for any number of threads, and no guard may be hurt.
inline void agree(const std::string& name, const Operands& operands, double tolerance, const Call& call) {
  CAPTURE(name);
  Operands wanted = operands;
  call(reference(), wanted);
  const int threads_before = thread_pool().threads();
  Operands first;
  for (int threads : {1, 2, 5}) {
    CAPTURE(threads);
    thread_pool().set_threads(threads);
    Operands made = operands;
    call(cpu_backend(), made);
    if (first.empty()) first = made;
    for (size_t which = 0; which < made.size(); ++which) {
      CAPTURE(which);
      CHECK(made[which].guards_whole());
      CHECK(made[which].bytes() == first[which].bytes());
      if (threads != 1) continue;
      double largest = 0, worst = 0;
      for (Index i(made[which].view().shape); i; ++i) {
        const double want = wanted[which].at(i), got = made[which].at(i);
        if (std::isfinite(want)) largest = std::max(largest, std::abs(want));
        const bool same = want == got || (std::isnan(want) && std::isnan(got));
        if (!same) worst = std::abs(want - got) <= worst ? worst : std::abs(want - got);  // keeps NaN
      }
      CAPTURE(worst);
      CAPTURE(largest);
      CHECK(worst <= tolerance * largest);
    }
  }
  thread_pool().set_threads(threads_before);
}

// Runs f with each of these vectors that the processor has.
template <class F>
void with_vectors(std::initializer_list<std::string> names, F&& f) {
  const std::string before(cpu::gemm_vectors());
  for (const std::string& name : names) {
    try {
      cpu::set_gemm_vectors(name);
    } catch (const Error&) {
      MESSAGE("not tested: this processor has no " << name);
      continue;
    }
    CAPTURE(name);
    f();
  }
  cpu::set_gemm_vectors(before);
}

}  // namespace chapbook
