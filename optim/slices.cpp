#include "optim/slices.h"

#include <algorithm>

namespace chapbook {

// Parameters and parts begin at multiples of a cache line's 16 numbers; what is between is nothing.
static int64_t rounded_up(int64_t count) { return (count + 15) / 16 * 16; }

Slices::Slices(std::vector<Parameter> parameters, int64_t parts, int64_t bucket)
    : parameters_(std::move(parameters)), parts_(parts) {
  size_t first = 0;
  int64_t end = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    begin_.push_back(end);
    end += rounded_up(parameters_[i].variable.value().count());
    if (end < bucket && i + 1 < parameters_.size()) continue;
    buckets_.push_back({first, i + 1, rounded_up((end + parts - 1) / parts)});
    first = i + 1, end = 0;
  }
}

std::vector<Slices::Piece> Slices::pieces(int64_t first, int64_t last, size_t bucket) const {
  const Bucket& of = buckets_[bucket];
  std::vector<Piece> pieces;
  for (size_t i = of.first; i < of.last; ++i) {
    const int64_t begin = std::max<int64_t>(0, first * of.length - begin_[i]),
                  end = std::min(parameters_[i].variable.value().count(), last * of.length - begin_[i]);
    if (begin < end) pieces.push_back({i, begin, end});
  }
  return pieces;
}

std::vector<Slices::Piece> Slices::pieces(int64_t first, int64_t last) const {
  std::vector<Piece> all;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    const std::vector<Piece> some = pieces(first, last, bucket);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

Tensor Slices::of(const Tensor& whole, const Piece& piece) {
  if (piece.end - piece.begin == whole.count()) return whole;
  const Tensor line = whole.rank() >= 2 ? whole.reshape({1, -1}) : whole.reshape({-1});
  return line.slice(-1, piece.begin, piece.end);
}

std::vector<Parameter> Slices::leaves(const std::vector<Piece>& pieces) const {
  std::vector<Parameter> leaves;
  for (const Piece& piece : pieces) {
    const Parameter& whole = parameters_[piece.parameter];
    const Tensor& value = whole.variable.value();
    const bool all = piece.end - piece.begin == value.count();
    leaves.push_back(all ? whole : Parameter{whole.name, Variable::parameter(of(value, piece))});
  }
  return leaves;
}

}  // namespace chapbook
