// The same random numbers as the reference, four to each Philox block instead of one.
#include "tensor/random.h"

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

namespace {

// The four numbers that a block of four words gives, as uniform_at and normal_at have them.
void block_of(Distribution distribution, uint64_t seed, uint64_t counter, double* numbers) {
  const auto words = philox(seed, counter);
  if (distribution == Distribution::uniform) {
    for (int i = 0; i < 4; ++i) numbers[i] = uniform_from(words[i]);
    return;
  }
  for (int pair = 0; pair < 4; pair += 2) {
    const double radius = std::sqrt(-2 * std::log(1 - uniform_from(words[pair])));
    const double angle = 2 * 3.14159265358979323846 * uniform_from(words[pair + 1]);
    numbers[pair] = radius * std::cos(angle);
    numbers[pair + 1] = radius * std::sin(angle);
  }
}

}  // namespace

void CpuBackend::random(Distribution distribution, uint64_t seed, uint64_t counter, Out y) {
  if (!y.contiguous() || y.dtype != DType::f32)
    return reference_backend().random(distribution, seed, counter, y);
  static_assert(cpu::grain % 4 == 0);  // no block is cut in two
  parallel_for(y.count(), cpu::grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 4) {
      double numbers[4];
      block_of(distribution, seed, counter + static_cast<uint64_t>(i) / 4, numbers);
      for (int64_t j = i; j < std::min(i + 4, end); ++j)
        y.as<float>()[j] = static_cast<float>(numbers[j - i]);
    }
  });
}

void CpuBackend::triangle(Out y, int64_t diagonal) {
  reference_backend().triangle(y, diagonal);  // made once, for masks
}

}  // namespace chapbook
