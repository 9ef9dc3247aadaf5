// Chapter 2: how fast are the numbers of a square matrix added up, walking along its rows, along its columns,
// and along its columns in tiles? The same loop each time; only the strides are other.
#include <algorithm>
#include <chrono>
#include <vector>

#include "docs/tool/results.h"
#include "tensor/view.h"

using namespace chapbook;

// The sum of x (m, n), last axis fastest, as the strides say; n is a multiple of 8. Eight sums, so that
// additions do not wait for each other. Each number is a load of its own: the compiler does not know that a
// stride is 1.
static float sum_in_order(const View& x) {
  const float* data = x.as<float>();
  const int64_t step = x.strides[1];
  float sums[8] = {};
  for (int64_t i = 0; i < x.shape[0]; ++i) {
    const float* row = data + i * x.strides[0];
    for (int64_t j = 0; j < x.shape[1]; j += 8)
      for (int k = 0; k < 8; ++k) sums[k] += row[(j + k) * step];
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static float sum_in_tiles(const View& x, int64_t tile) {
  float sum = 0;
  for (int64_t i = 0; i < x.shape[0]; i += tile)
    for (int64_t j = 0; j < x.shape[1]; j += tile)
      sum += sum_in_order(x.slice(0, i, i + tile).slice(1, j, j + tile));
  return sum;
}

// GB/s: the median of eleven runs of at least two milliseconds each.
template <class F>
static double bandwidth(int64_t n, F sum) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> rates;
  for (int run = 0; run < 11; ++run) {
    const auto start = Clock::now();
    double seconds = 0;
    int64_t bytes = 0;
    while (seconds < 2e-3) {
      volatile const float kept = sum();  // so that nothing is optimised away
      static_cast<void>(kept);
      bytes += n * n * int64_t{sizeof(float)};
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
    }
    rates.push_back(static_cast<double>(bytes) / seconds / 1e9);
  }
  std::nth_element(rates.begin(), rates.begin() + 5, rates.end());
  return rates[5];
}

int main() {
  Results results("transposed_reads", {"tensor/view.h#struct:View", "tensor/view.cpp#fn:View::transpose"});
  constexpr int64_t tile = 16;  // numbers in a cache line of 64 bytes
  results.configuration = {{"numbers", "f32"}, {"threads", 1}, {"tile", tile}, {"runs", 11}};
  Line rows{"along rows", {}, {}}, columns{"along columns", {}, {}}, tiles{"along columns, in tiles", {}, {}};
  for (int64_t n = 64; n <= 8192; n *= 2) {
    std::vector<float> numbers(n * n, 1);
    const View x{numbers.data(), DType::f32, {n, n}, contiguous_strides({n, n})}, y = x.transpose(0, 1);
    const double size = static_cast<double>(n);
    for (Line* line : {&rows, &columns, &tiles}) line->x.push_back(size);
    rows.y.push_back(bandwidth(n, [&] { return sum_in_order(x); }));
    columns.y.push_back(bandwidth(n, [&] { return sum_in_order(y); }));
    tiles.y.push_back(bandwidth(n, [&] { return sum_in_tiles(y, tile); }));
  }
  const size_t last = rows.y.size() - 1;
  results.values = {{"largest", rows.x[last]},
                    {"rows", rows.y[last]},
                    {"columns", columns.y[last]},
                    {"tiles", tiles.y[last]},
                    {"smallest_rows", rows.y[0]},
                    {"smallest_columns", columns.y[0]},
                    {"rows_over_columns", rows.y[last] / columns.y[last]},
                    {"tiles_over_columns", tiles.y[last] / columns.y[last]}};
  results.figure("transposed-reads",
                 {"Adding up a matrix", "rows and columns", "GB/s", true, true, {rows, columns, tiles}});
  results.write();
}
