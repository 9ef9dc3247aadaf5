#include "apps/report/limits.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>

#include "tensor/cpu/loop.h"

namespace chapbook {

// Results go here, where the compiler cannot know that nobody looks: else it would leave the loops out.
std::atomic<float> measured_result;

namespace {

constexpr int chains = 12;  // independent sums: 4 cycles of latency times 2 units want at least 8

// Rounds of sum = sum * factor + addend on vectors of so many f32. Inlined into functions compiled for a
// processor that has them.
template <int lanes>
[[gnu::always_inline]] inline float multiply_add(int64_t rounds) {
  typedef float Vector __attribute__((vector_size(4 * lanes)));
  Vector sums[chains], factor = Vector{} + 0.999f, addend = Vector{} + 0.001f;
  for (int i = 0; i < chains; ++i) sums[i] = Vector{} + static_cast<float>(i);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < chains; ++i) sums[i] = sums[i] * factor + addend;
  Vector total{};
  for (int i = 0; i < chains; ++i) total += sums[i];
  float first;
  std::memcpy(&first, &total, sizeof first);
  return first;
}

struct Vectors {
  int lanes;
  float (*multiply_add)(int64_t rounds);
};

#ifdef __x86_64__
[[gnu::target("avx512f")]] float multiply_add_512(int64_t rounds) { return multiply_add<16>(rounds); }
[[gnu::target("avx2,fma")]] float multiply_add_256(int64_t rounds) { return multiply_add<8>(rounds); }
#endif
float multiply_add_128(int64_t rounds) { return multiply_add<4>(rounds); }

// The widest this processor has, whatever the program is compiled for.
Vectors widest() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return {16, multiply_add_512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {8, multiply_add_256};
#endif
  return {4, multiply_add_128};
}

// Seconds of the fastest of some runs.
template <class F>
double best_seconds(int runs, F&& f) {
  double best = 1e30;
  for (int run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double measure_flops() {
  const Vectors vectors = widest();
  const int threads = thread_pool().threads();
  constexpr int64_t rounds = 2'000'000;  // some milliseconds: the clock's frequency has time to settle
  const double seconds = best_seconds(12, [&] {
    parallel_for(threads, 1, [&](int64_t, int64_t) { measured_result = vectors.multiply_add(rounds); });
  });
  return 2.0 * rounds * chains * vectors.lanes * threads / seconds;
}

// Calls f(begin, end) for pieces of `count` numbers, in all threads, and gives the best bytes a second.
template <class F>
double measure_bytes(int64_t count, double bytes_each, F&& f) {
  return static_cast<double>(count) * bytes_each / best_seconds(6, [&] { parallel_for(count, 1 << 20, f); });
}

}  // namespace

Limits measure_limits() {
  constexpr int64_t third = 16 << 20, count = 3 * third;  // 192 MiB: more than caches hold
  const std::unique_ptr<float[]> memory(new float[count]);
  float *x = memory.get(), *y = x + third, *z = y + third;
  parallel_for(count, 1 << 20, [&](int64_t begin, int64_t end) { std::fill(x + begin, x + end, 1.0f); });
  Limits limits{.threads = thread_pool().threads()};
  limits.flops = measure_flops();
  limits.read = measure_bytes(count, 4, [&](int64_t begin, int64_t end) {
    measured_result = cpu::sum_of(end - begin, [&](int64_t i) { return x[begin + i]; });
  });
  limits.update = measure_bytes(count, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= 0.5f;
  });
  limits.triad = measure_bytes(third, 12, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) z[i] = x[i] + 3 * y[i];
  });
  return limits;
}

}  // namespace chapbook
