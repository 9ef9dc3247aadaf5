#include "optim/slices.h"

#include <algorithm>

namespace chapbook {

// Parameters and parts begin at multiples of a cache line's 16 numbers; what is between is nothing.
static int64_t rounded_up(int64_t count) { return (count + 15) / 16 * 16; }

Slices::Slices(std::vector<Parameter> parameters, int64_t parts)
    : parameters_(std::move(parameters)), parts_(parts) {
  int64_t end = 0;
  for (const Parameter& parameter : parameters_) {
    begin_.push_back(end);
    end += rounded_up(parameter.variable.value().count());
  }
  length_ = rounded_up((end + parts - 1) / parts);
}

std::vector<Slices::Piece> Slices::pieces(int64_t first, int64_t last) const {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const int64_t begin = std::max<int64_t>(0, first * length_ - begin_[i]),
                  end = std::min(parameters_[i].variable.value().count(), last * length_ - begin_[i]);
    if (begin < end) pieces.push_back({i, begin, end});
  }
  return pieces;
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
