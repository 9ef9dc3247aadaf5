// A net of a few layers in plain loops, and the points on two arms of a spiral that it learns to tell apart:
// what chapter 8 begins with. Nothing here is of the library but its random numbers.
#pragma once
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "tensor/random.h"

namespace chapbook {

using Row = std::vector<double>;

// region: linear
struct Layer {
  std::vector<Row> w;  // (in, out)
  Row b;               // (out)
};

// y = x W + b, for one row.
inline Row linear(const Layer& layer, const Row& x) {
  Row y = layer.b;
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t j = 0; j < y.size(); ++j) y[j] += x[i] * layer.w[i][j];
  return y;
}

// Returns dx, and adds dW and db of this row to those of the rows before.
inline Row linear_backward(const Layer& layer, const Row& x, const Row& dy, Layer& sums) {
  Row dx(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t j = 0; j < dy.size(); ++j) {
      dx[i] += dy[j] * layer.w[i][j];
      sums.w[i][j] += x[i] * dy[j];
    }
  for (size_t j = 0; j < dy.size(); ++j) sums.b[j] += dy[j];
  return dx;
}
// endregion

enum class Bend { relu, gelu };

inline double bend(Bend kind, double h) { return kind == Bend::relu ? std::max(h, 0.0) : math::gelu(h); }
inline double slope_of(Bend kind, double h) {
  return kind == Bend::relu ? (h > 0 ? 1 : 0) : math::gelu_derivative(h);
}

// Each point belongs to one of two arms, which wind around each other.
struct Point {
  Row x;
  double arm;  // 1 or -1
};

inline std::vector<Point> spiral(int count) {
  std::vector<Point> points;
  for (int i = 0; i < count; ++i) {
    const double way = (i / 2 + 1.0) / (count / 2 + 1.0), angle = 4 * way + (i % 2 ? 3.14159265358979 : 0);
    points.push_back({{way * std::cos(angle), way * std::sin(angle)}, i % 2 ? -1.0 : 1.0});
  }
  return points;
}

struct SmallNet {
  Bend kind;
  std::vector<Layer> layers, velocity;

  // `sizes`: of a row before and behind each layer. weight(in) draws a weight of a layer with `in` inputs.
  template <class Draw>
  SmallNet(Bend kind, const std::vector<size_t>& sizes, Draw&& weight) : kind(kind) {
    for (size_t l = 0; l + 1 < sizes.size(); ++l) {
      layers.push_back({std::vector<Row>(sizes[l], Row(sizes[l + 1])), Row(sizes[l + 1])});
      velocity.push_back(layers.back());
      for (Row& row : layers.back().w)
        for (double& each : row) each = weight(static_cast<double>(sizes[l]));
    }
  }

  // What goes into each layer, and the score at the end: above 0 for arm 1.
  std::vector<Row> forward(const Row& x) const {
    std::vector<Row> rows = {x};
    for (size_t l = 0; l < layers.size(); ++l) {
      rows.push_back(linear(layers[l], l ? bent(rows.back()) : x));
    }
    return rows;
  }
  double score(const Row& x) const { return forward(x).back()[0]; }

  // The mean of ln(1 + e^(-arm score)): the loss of two classes.
  double loss(const std::vector<Point>& points) const {
    double sum = 0;
    for (const Point& point : points) sum += std::log1p(std::exp(-point.arm * score(point.x)));
    return sum / static_cast<double>(points.size());
  }

  // One step of gradient descent with a momentum of 0.9, over all points.
  void learn(const std::vector<Point>& points, double rate) {
    std::vector<Layer> sums = velocity;
    for (Layer& layer : sums) {
      for (Row& row : layer.w) std::fill(row.begin(), row.end(), 0);
      std::fill(layer.b.begin(), layer.b.end(), 0);
    }
    for (const Point& point : points) {
      const std::vector<Row> rows = forward(point.x);
      Row dy = {-point.arm / (1 + std::exp(point.arm * rows.back()[0])) / static_cast<double>(points.size())};
      for (size_t l = layers.size(); l-- > 0;) {
        dy = linear_backward(layers[l], l ? bent(rows[l]) : rows[l], dy, sums[l]);
        if (l)
          for (size_t j = 0; j < dy.size(); ++j) dy[j] *= slope_of(kind, rows[l][j]);
      }
    }
    const auto step = [&](Row& w, Row& v, const Row& g) {
      for (size_t j = 0; j < w.size(); ++j) v[j] = 0.9 * v[j] + g[j], w[j] -= rate * v[j];
    };
    for (size_t l = 0; l < layers.size(); ++l) {
      for (size_t i = 0; i < sums[l].w.size(); ++i) step(layers[l].w[i], velocity[l].w[i], sums[l].w[i]);
      step(layers[l].b, velocity[l].b, sums[l].b);
    }
  }

  // The units of the first hidden layer whose input is not above 0 for any point.
  std::vector<bool> silent(const std::vector<Point>& points) const {
    std::vector<bool> all(layers[0].b.size(), true);
    for (const Point& point : points) {
      const Row h = linear(layers[0], point.x);
      for (size_t j = 0; j < h.size(); ++j)
        if (h[j] > 0) all[j] = false;
    }
    return all;
  }

  // How many of the first hidden layer's units differ from each other.
  size_t different_units() const {
    std::set<Row> units;
    for (size_t j = 0; j < layers[0].b.size(); ++j) {
      Row unit = {layers[0].b[j]};
      for (const Row& row : layers[0].w) unit.push_back(row[j]);
      units.insert(unit);
    }
    return units.size();
  }

 private:
  Row bent(Row h) const {
    for (double& each : h) each = bend(kind, each);
    return h;
  }
};

}  // namespace chapbook
