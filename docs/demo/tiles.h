// Attention of one head in tiles of keys, there and back, as one would write it first: no more than a tile of
// scores exists at a time.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace chapbook {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

inline double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t d = 0; d < a.size(); ++d) sum += a[d] * b[d];
  return sum;
}

struct Found {
  Row y;
  double log_sum;
};

// What query q finds at the first `visible` places, in tiles of `tile` keys.
inline Found attend_in_tiles(const Row& q, const Rows& k, const Rows& v, size_t visible, size_t tile) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  Row y(v[0].size());
  for (size_t begin = 0; begin < visible; begin += tile) {
    const size_t end = std::min(visible, begin + tile);
    Row z;
    const double before = largest;
    for (size_t s = begin; s < end; ++s) {
      z.push_back(dot(q, k[s]) / std::sqrt(q.size()));
      largest = std::max(largest, z.back());
    }
    const double shrink = std::exp(before - largest);  // 0 for the first tile, 1 where nothing is larger
    sum *= shrink;
    for (double& each : y) each *= shrink;
    for (size_t s = begin; s < end; ++s) {
      const double weight = std::exp(z[s - begin] - largest);
      sum += weight;
      for (size_t d = 0; d < y.size(); ++d) y[d] += weight * v[s][d];
    }
  }
  for (double& each : y) each /= sum;
  return {y, largest + std::log(sum)};
}

// The way back of attend_in_tiles for query q, which found `found` at the first `visible` places: writes dq,
// and adds to dk and dv what this query sends to their rows. No more than a tile of weights exists at a time.
inline void attend_in_tiles_backward(const Row& q, const Rows& k, const Rows& v, size_t visible, size_t tile,
                                     const Found& found, const Row& dy, Row& dq, Rows& dk, Rows& dv) {
  const double scale = 1 / std::sqrt(q.size()), delta = dot(dy, found.y);
  std::fill(dq.begin(), dq.end(), 0.0);
  for (size_t begin = 0; begin < visible; begin += tile)
    for (size_t s = begin; s < std::min(visible, begin + tile); ++s) {
      const double p = std::exp(scale * dot(q, k[s]) - found.log_sum);
      const double dz = p * (dot(dy, v[s]) - delta);
      for (size_t d = 0; d < q.size(); ++d) {
        dq[d] += scale * dz * k[s][d];
        dk[s][d] += scale * dz * q[d];
      }
      for (size_t d = 0; d < dy.size(); ++d) dv[s][d] += p * dy[d];
    }
}

}  // namespace chapbook
