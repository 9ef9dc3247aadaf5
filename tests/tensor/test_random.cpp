// Philox against the known answers of its authors; the distributions by their moments; draws that never share
// a number.
#include "tensor/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tensor/ops.h"

using namespace chapbook;

TEST_CASE("random: known answers of Philox4x32-10") {
  // Random123, tests/kat_vectors: zeros, ones, the digits of pi.
  using Words = std::array<uint32_t, 4>;
  CHECK(philox({0, 0}, {0, 0, 0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u}, {~0u, ~0u, ~0u, ~0u}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  // Seed and counter are 64-bit numbers, low words first.
  CHECK(philox(0x299f31d0a4093822u, 0x85a308d3243f6a88u) ==
        philox({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0, 0}));
}

TEST_CASE("random: uniform numbers lie in [0, 1), exactly as in f32") {
  CHECK(uniform_from(0) == 0.0);
  CHECK(uniform_from(~0u) == 1.0 - 0x1p-24);
  CHECK(static_cast<float>(uniform_from(~0u)) < 1.0f);
  CHECK(uniform_from(0x80000000u) == 0.5);
}

TEST_CASE("random: moments") {
  // Each bound is 5 standard deviations of the mean over n numbers.
  const int64_t n = 1'000'000;
  double uniform[3] = {}, normal[5] = {}, neighbours = 0, last = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double u = uniform_at(7, 1000, i), z = normal_at(8, 1000, i);
    double u_power = 1, z_power = 1;
    for (int k = 0; k < 3; ++k, u_power *= u) uniform[k] += u_power / n;
    for (int k = 0; k < 5; ++k, z_power *= z) normal[k] += z_power / n;
    neighbours += last * z / n;
    last = z;
  }
  const double sigma = 1 / std::sqrt(n);
  CHECK(std::abs(uniform[1] - 1 / 2.) <= 5 * sigma * std::sqrt(1 / 12.));
  CHECK(std::abs(uniform[2] - 1 / 3.) <= 5 * sigma * std::sqrt(4 / 45.));
  CHECK(std::abs(normal[1] - 0) <= 5 * sigma);
  CHECK(std::abs(normal[2] - 1) <= 5 * sigma * std::sqrt(2));
  CHECK(std::abs(normal[3] - 0) <= 5 * sigma * std::sqrt(15));
  CHECK(std::abs(normal[4] - 3) <= 5 * sigma * std::sqrt(96));
  CHECK(std::abs(neighbours) <= 5 * sigma);
}

TEST_CASE("random: a draw moves the counter past what it used") {
  Random random{1, 10};
  CHECK(random.take(0) == 10);
  CHECK(random.take(1) == 10);
  CHECK(random.take(4) == 11);
  CHECK(random.take(5) == 12);
  CHECK(random.counter == 14);

  // Draws of all small lengths, one after the other: no block of four words is used by two of them.
  Random other{1, 0};
  std::set<uint64_t> used;
  for (int64_t count = 1; count < 20; ++count) {
    const uint64_t start = other.take(count);
    std::set<uint64_t> blocks;
    for (int64_t i = 0; i < count; ++i) blocks.insert(start + i / 4);
    for (uint64_t block : blocks) CHECK(used.insert(block).second);
  }
}

TEST_CASE("random: tensors of random numbers") {
  for (std::string_view name : backend_names()) {
    CAPTURE(name);
    Random random{3, 5};
    const auto x = uniform({3, 7}, random, DType::f64, backend(name)).to_vector<double>();
    const auto y = normal({5}, random, DType::f64, backend(name)).to_vector<double>();
    CHECK(random.counter == 5 + 6 + 2);
    for (int i = 0; i < 21; ++i) CHECK(x[i] == uniform_at(3, 5, i));
    // Another backend may compute sine and logarithm otherwise, by some units of f64's 1e-16.
    for (int i = 0; i < 5; ++i) CHECK(std::abs(y[i] - normal_at(3, 11, i)) <= 1e-6);
    CHECK(x != uniform({3, 7}, random, DType::f64, backend(name)).to_vector<double>());
    Random again{3, 5};
    CHECK(x == uniform({21}, again, DType::f64, backend(name)).to_vector<double>());
  }
}

TEST_CASE("random: integers below n") {
  Random random{4, 0};
  int counts[6] = {};
  for (int i = 0; i < 60'000; ++i) ++counts[random.below(6)];
  double chi_square = 0;
  for (int count : counts) chi_square += (count - 1e4) * (count - 1e4) / 1e4;
  CHECK(chi_square <= 20.5);  // 5 degrees of freedom: exceeded once in a thousand seeds
  for (int i = 0; i < 100; ++i) {
    CHECK(random.below(1) == 0);
    CHECK(random.below(uint64_t{1} << 63) < uint64_t{1} << 63);
  }
}

TEST_CASE("random: permutation") {
  Random random{5, 0};
  CHECK(permutation(0, random).empty());
  CHECK(random.counter == 0);
  CHECK(permutation(1, random) == std::vector<int32_t>{0});
  CHECK_THROWS_WITH_AS(permutation(-1, random), "permutation: -1 is not a length between 0 and 2147483647",
                       Error);
  CHECK_THROWS_AS(permutation(int64_t{1} << 31, random), Error);

  const std::vector<int32_t> order = permutation(1000, random);
  std::vector<int32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 1000; ++i) CHECK(sorted[i] == i);
  CHECK(order != sorted);
  CHECK(order != permutation(1000, random));

  Random fixed{2026, 1};
  // These must never change: a resumed run shuffles with them again.
  CHECK(permutation(10, fixed) == std::vector<int32_t>{0, 2, 7, 3, 8, 1, 4, 5, 6, 9});
  CHECK(fixed.counter == 10);
}

TEST_CASE("random: all orders of four are equally likely") {
  Random random{6, 0};
  std::map<std::vector<int32_t>, int> counts;
  for (int i = 0; i < 24'000; ++i) ++counts[permutation(4, random)];
  CHECK(counts.size() == 24);
  double chi_square = 0;
  for (const auto& [order, count] : counts) chi_square += (count - 1e3) * (count - 1e3) / 1e3;
  CHECK(chi_square <= 49.7);  // 23 degrees of freedom: exceeded once in a thousand seeds
}
