// What the fast loops share: operands walked together (tensor/loop.h), sums in several lanes, and memory a
// thread keeps between calls.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "tensor/cpu/thread_pool.h"
#include "tensor/loop.h"

namespace chapbook::cpu {

// Elements a thread takes at a time: long enough to hide the hand-out, short enough to balance and to stay in
// the cache.
constexpr int64_t grain = 16384;

inline bool all_f32(std::initializer_list<View> views) {
  return std::all_of(views.begin(), views.end(), [](const View& x) { return !x || x.dtype == DType::f32; });
}

// Whether the numbers along the last axis lie side by side.
inline bool dense_rows(const View& x) {
  return !x || x.shape.rank == 0 || x.shape[-1] == 1 || x.strides[-1] == 1;
}

inline bool dense_rows(std::initializer_list<View> views) {
  return std::all_of(views.begin(), views.end(), [](const View& x) { return dense_rows(x); });
}

// The sum of f(0) to f(n - 1), in 32 partial sums that are added in a fixed order. One long chain of
// additions would wait for each addition to end, and lose more digits.
template <class F>
float sum_of(int64_t n, F&& f) {
  constexpr int lanes = 32;
  float sums[lanes] = {}, rest = 0;
  const int64_t whole = n / lanes * lanes;
  for (int64_t j = 0; j < whole; j += lanes)
    for (int lane = 0; lane < lanes; ++lane) sums[lane] += f(j + lane);
  for (int64_t j = whole; j < n; ++j) rest += f(j);
  for (int width = lanes / 2; width; width /= 2)
    for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  return sums[0] + rest;
}

// The largest of n numbers; NaN counts for nothing.
inline float largest_of(const float* x, int64_t n) {
  constexpr int lanes = 32;
  float best[lanes];
  std::fill(best, best + lanes, -std::numeric_limits<float>::infinity());
  const int64_t whole = n / lanes * lanes;
  for (int64_t j = 0; j < whole; j += lanes)
    for (int lane = 0; lane < lanes; ++lane) best[lane] = x[j + lane] > best[lane] ? x[j + lane] : best[lane];
  float rest = -std::numeric_limits<float>::infinity();
  for (int64_t j = whole; j < n; ++j) rest = x[j] > rest ? x[j] : rest;
  for (int width = lanes / 2; width; width /= 2)
    for (int lane = 0; lane < width; ++lane) best[lane] = std::max(best[lane], best[lane + width]);
  return std::max(best[0], rest);
}

// Asks for n numbers that will be needed soon. Worth it where rows are short: by the time the processor sees
// that they follow each other, the next one is due.
template <class T>
void fetch(const T* x, int64_t n) {
  for (int64_t j = 0; j < n; j += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(x + j);
}

// Memory of this thread, kept from call to call. `Use` is a type that says what for: `struct Scores` where it
// is asked for is enough. Only uses of different types may overlap.
template <class Use, class T = float>
T* scratch(int64_t count) {
  constexpr int64_t line =
      64 / sizeof(T);  // of the cache: vectors and tiles that cross none are loaded faster
  thread_local std::vector<T> memory;
  if (static_cast<int64_t>(memory.size()) < count + line) memory.resize(count + line);
  const auto at = reinterpret_cast<uintptr_t>(memory.data());
  return memory.data() + (64 - at % 64) % 64 / sizeof(T);
}

}  // namespace chapbook::cpu
