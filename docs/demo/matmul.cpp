// What chapter 5 prints. One part for each word: example, caches, tiles, check.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "docs/demo/cache.h"
#include "tensor/random.h"

using namespace chapbook;

// ---- example: two orders of the same sums

// region: example
static void example() {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {7, 8, 9, 10, 11, 12};  // (2, 3) and (3, 2)
  std::vector<float> y(4);
  for (int i = 0; i < 2; ++i)
    for (int p = 0; p < 3; ++p) {
      for (int j = 0; j < 2; ++j) y[i * 2 + j] += a[i * 3 + p] * b[p * 2 + j];
      fmt::print("row {} of y += {} times row {} of b ({}, {}):  ({}, {})\n", i, a[i * 3 + p], p, b[p * 2],
                 b[p * 2 + 1], y[i * 2], y[i * 2 + 1]);
    }
}
// endregion

// ---- caches: what the rungs about memory ask for, and what of it a small cache has not

struct Count {
  int64_t uses = 0, misses = 0;
};

// Runs loops over products of n by n matrices whose rows lie `row` numbers apart.
static Count count(int64_t row, const std::function<void(Watched a, Watched b, Watched y)>& loops) {
  Cache cache;
  Count count;
  const int64_t size = 4 * row * 1024;
  loops({cache, 0, count.uses}, {cache, size, count.uses}, {cache, 2 * size, count.uses});
  count.misses = cache.misses;
  return count;
}

static void caches() {
  fmt::print("for each 1,000 multiply-adds of {0} x {0} x {0}    numbers asked for    lines from memory\n",
             192);
  const int64_t n = 192;
  for (const int64_t row : {200, 256}) {
    const auto naive = [=](Watched a, Watched b, Watched y) {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j) {
          for (int64_t p = 0; p < n; ++p) a.at(i * row + p), b.at(p * row + j);
          y.at(i * row + j);
        }
    };
    const auto order = [=](Watched a, Watched b, Watched y) {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t p = 0; p < n; ++p) {
          a.at(i * row + p);
          for (int64_t j = 0; j < n; ++j) b.at(p * row + j), y.at(i * row + j), y.at(i * row + j);
        }
    };
    const auto blocked = [=](Watched a, Watched b, Watched y) {
      const int64_t k_block = 16, n_block = 64;  // 4 KiB of b
      for (int64_t j0 = 0; j0 < n; j0 += n_block)
        for (int64_t p0 = 0; p0 < n; p0 += k_block)
          for (int64_t i = 0; i < n; ++i)
            for (int64_t p = p0; p < p0 + k_block; ++p) {
              a.at(i * row + p);
              for (int64_t j = j0; j < j0 + n_block; ++j)
                b.at(p * row + j), y.at(i * row + j), y.at(i * row + j);
            }
    };
    // Packed: the block of b, (16, 64), and tiles of y of 4 x 32 whose sums are no memory at all.
    const auto tiled = [=](Watched a, Watched b, Watched y) {
      const Watched packed{b.cache, b.address + 4 * 1024 * row * 2, b.uses};
      const int64_t k_block = 16, n_block = 64;
      for (int64_t j0 = 0; j0 < n; j0 += n_block)
        for (int64_t p0 = 0; p0 < n; p0 += k_block) {
          for (int64_t p = p0; p < p0 + k_block; ++p)
            for (int64_t j = j0; j < j0 + n_block; ++j)
              b.at(p * row + j), packed.at((p - p0) * n_block + j - j0);
          for (int64_t j1 = 0; j1 < n_block; j1 += 32)
            for (int64_t i = 0; i < n; i += 4) {
              for (int64_t p = 0; p < k_block; ++p) {
                for (int64_t r = 0; r < 4; ++r) a.at((i + r) * row + p0 + p);
                for (int64_t c = 0; c < 32; ++c) packed.at(j1 * k_block + p * 32 + c);
              }
              for (int64_t r = 0; r < 4; ++r)
                for (int64_t c = 0; c < 32; ++c)
                  y.at((i + r) * row + j0 + j1 + c), y.at((i + r) * row + j0 + j1 + c);
            }
        }
    };
    fmt::print("rows {} numbers apart\n", row);
    for (const auto& [name, each] : {std::pair{"naive", count(row, naive)},
                                     {"loop order", count(row, order)},
                                     {"blocked", count(row, blocked)},
                                     {"packed, in tiles of 4 x 32", count(row, tiled)}}) {
      const double all = static_cast<double>(n * n * n) / 1000;
      fmt::print("{:<44}{:>21.0f}{:>21.1f}\n", name, static_cast<double>(each.uses) / all,
                 static_cast<double>(each.misses) / all);
    }
  }
}

// ---- tiles: numbers loaded for each multiply-add

static void tiles() {
  fmt::print("tile of y    sums    loads for each k    multiply-adds    loads for each multiply-add\n");
  for (const auto& [rows, columns] : {std::pair{1, 1}, {1, 32}, {4, 32}, {12, 32}, {14, 32}})
    fmt::print("{:>4} x {:<6}{:>6}{:>14}{:>19}{:>24.3f}\n", rows, columns, rows * columns, rows + columns,
               rows * columns, static_cast<double>(rows + columns) / (rows * columns));
}

// ---- check: the way back, against central differences in f64

static std::string below(double error) {
  return fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(std::max(error, 1e-12)))));
}

static void check_gradients() {
  Random random{3};
  const auto drawn = [&](const Shape& shape) {
    return normal(shape, random, DType::f64, backend("reference"));
  };
  const Tensor x[] = {drawn({5, 7}), drawn({7, 3})}, dy = drawn({5, 3});
  const Tensor gradients[] = {matmul(dy, x[1].transpose(0, 1)), matmul(x[0].transpose(0, 1), dy)};
  for (int which = 0; which < 2; ++which) {
    const std::vector<double> got = gradients[which].to_vector<double>();
    auto* numbers = x[which].view().as<double>();
    double apart = 0, size = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double here = numbers[i], h = 1e-5;
      numbers[i] = here + h;
      const double above = sum(matmul(x[0], x[1]) * dy).item();
      numbers[i] = here - h;
      const double slope = (above - sum(matmul(x[0], x[1]) * dy).item()) / (2 * h);
      numbers[i] = here;
      apart += (got[i] - slope) * (got[i] - slope), size += slope * slope;
    }
    fmt::print("d{}   {} numbers   relative error {}\n", "AB"[which], got.size(),
               below(std::sqrt(apart / size)));
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"example", example}, {"caches", caches}, {"tiles", tiles}, {"check", check_gradients}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_matmul: say which part: {}\n", "example caches tiles check");
    return 2;
  }
  part->second();
}
