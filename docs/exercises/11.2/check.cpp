// The way back of attention in tiles, against central differences.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>

#include "docs/demo/tiles.h"
#include "tensor/ops.h"
#include "tensor/random.h"

using namespace chapbook;

static Rows drawn(size_t rows, size_t columns, uint64_t seed) {
  Random random{seed};
  const Tensor x = normal({static_cast<int64_t>(rows * columns)}, random, DType::f64, backend("reference"));
  const std::vector<double> all = x.to_vector<double>();
  Rows result;
  for (size_t i = 0; i < rows; ++i)
    result.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i * columns),
                        all.begin() + static_cast<std::ptrdiff_t>((i + 1) * columns));
  return result;
}

static void check_slopes(const std::string& name, Rows& x, const Rows& dx,
                         const std::function<double()>& value) {
  double apart = 0, size = 0, worst = -1, got = 0, wanted = 0;
  size_t row = 0;
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t d = 0; d < x[i].size(); ++d) {
      const double here = x[i][d], h = 1e-5;
      x[i][d] = here + h;
      const double above = value();
      x[i][d] = here - h;
      const double slope = (above - value()) / (2 * h), off = std::abs(dx[i][d] - slope);
      x[i][d] = here;
      apart += off * off, size += slope * slope;
      if (!(off <= worst)) worst = off, row = i, got = dx[i][d], wanted = slope;
    }
  const double error = std::sqrt(apart / std::max(size, 1e-300));
  if (!(error <= 1e-7))
    FAIL(fmt::format(
        "{} has a relative error of {:.2g}; worst is row {}, counted from 0: {:.6g}, and the slope "
        "there is {:.6g}",
        name, error, row, got, wanted));
}

// `queries` queries, the last of `places` places.
static void check_way_back(size_t queries, size_t places, size_t tile) {
  Rows q = drawn(queries, 3, 1), k = drawn(places, 3, 2), v = drawn(places, 4, 3);
  const Rows dy = drawn(queries, 4, 4);
  const auto seen = [&](size_t t) { return places - queries + t + 1; };
  Rows dq(queries, Row(3, 7.0)), dk(places, Row(3)), dv(places, Row(4));
  for (size_t t = 0; t < queries; ++t)
    attend_in_tiles_backward(q[t], k, v, seen(t), tile, attend_in_tiles(q[t], k, v, seen(t), tile), dy[t],
                             dq[t], dk, dv);
  const auto value = [&] {
    double sum = 0;
    for (size_t t = 0; t < queries; ++t) sum += dot(attend_in_tiles(q[t], k, v, seen(t), tile).y, dy[t]);
    return sum;
  };
  check_slopes("dv", v, dv, value);
  check_slopes("dq", q, dq, value);
  check_slopes("dk", k, dk, value);
}

TEST_CASE("one query, one tile") { check_way_back(1, 3, 8); }
TEST_CASE("one query, tiles that divide its places") { check_way_back(1, 6, 2); }
TEST_CASE("one query, a last tile that is not full") { check_way_back(1, 7, 3); }
TEST_CASE("several queries add to the same rows of dk and dv, and none sees a later place") {
  check_way_back(5, 5, 2);
}
