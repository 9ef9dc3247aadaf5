#include "tensor/print.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/ops.h"

namespace chapbook {

static constexpr int64_t shorten_above = 1000;  // numbers; tensors of up to so many are shown whole
static constexpr int64_t edge = 3;              // what remains at each end of a shortened axis
static constexpr size_t line_width = 80;        // longer rows go on below

namespace {

// How all numbers of one tensor are written, so that they can be compared at a glance: integers as such, else fixed point with
// four significant digits for the largest, else scientific. Digits that are zero for all of them are left out.
class NumberFormat {
 public:
  NumberFormat(const std::vector<double>& numbers, DType dtype) : integers_(!is_float(dtype)) {
    double largest = 0, smallest = INFINITY;
    bool whole = true;
    for (double x : numbers) {
      if (!std::isfinite(x) || x == 0) continue;
      largest = std::max(largest, std::abs(x));
      smallest = std::min(smallest, std::abs(x));
      whole = whole && x == std::trunc(x);
    }
    const int exponent = largest > 0 ? static_cast<int>(std::floor(std::log10(largest))) : 0;
    decimals_ = std::max(1, 3 - exponent);
    if (whole) {
      decimals_ = 0;
      scientific_ = largest >= 1e8;
    } else {
      const double half_a_unit = 0.5 * std::pow(10, -decimals_);  // a smaller number would look like zero
      scientific_ = largest >= 1e5 || largest < 1e-4 || smallest < half_a_unit;
    }
    if (scientific_) decimals_ = 3;
    drop_common_zeros(numbers);
    for (double x : numbers) width_ = std::max(width_, write(x).size());
  }

  // Right-aligned to the widest number.
  std::string operator()(double x) const { return fmt::format("{:>{}}", write(x), width_); }

 private:
  std::string write(double x) const {
    if (std::isnan(x)) return "nan";
    if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
    if (integers_) return fmt::format("{:.0f}", x);
    // '#' keeps the point of a whole number: "2." is no integer.
    return scientific_ ? fmt::format("{:#.{}e}", x, decimals_) : fmt::format("{:#.{}f}", x, decimals_);
  }

  void drop_common_zeros(const std::vector<double>& numbers) {
    std::vector<double> written;
    for (double x : numbers)
      if (std::isfinite(x)) written.push_back(std::stod(write(x)));
    while (decimals_ > 0) {
      --decimals_;
      if (std::all_of(written.begin(), written.end(), [&](double x) { return std::stod(write(x)) == x; })) continue;
      ++decimals_;
      return;
    }
  }

  bool integers_, scientific_ = false;
  int decimals_ = 0;
  size_t width_ = 0;
};

// The numbers that are shown, in brackets.
class Writer {
 public:
  Writer(const Tensor& shown, const Shape& whole)
      : shown_(shown.shape()), whole_(whole), numbers_(shown.to_vector<double>()), format_(numbers_, shown.dtype()) {}

  std::string text() {
    write(0);
    return std::move(text_);
  }

 private:
  void write(int axis) {
    if (axis == shown_.rank) {
      text_ += format_(numbers_[next_++]);
      return;
    }
    const bool row = axis == shown_.rank - 1;
    const std::string indent(axis + 1, ' ');
    size_t line_start = text_.size() - axis;  // the brackets or spaces before this one
    text_ += '[';
    for (int64_t i = 0; i < shown_[axis]; ++i) {
      if (i > 0 && !row) text_ += "," + std::string(shown_.rank - 1 - axis, '\n') + indent;
      if (i > 0 && row) new_item(indent, line_start, format_(0).size());
      if (i == edge && shown_[axis] != whole_[axis]) {
        text_ += "...";
        if (row) new_item(indent, line_start, format_(0).size());
        else text_ += "," + std::string(shown_.rank - 1 - axis, '\n') + indent;
      }
      write(axis + 1);
    }
    text_ += ']';
  }
  void new_item(const std::string&, size_t&, size_t) {}

  Shape shown_, whole_;
  std::vector<double> numbers_;
  NumberFormat format_;
  size_t next_ = 0;
  std::string text_;
};

}  // namespace
}  // namespace chapbook
