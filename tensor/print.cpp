#include "tensor/print.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tensor/ops.h"

namespace chapbook {

static constexpr int64_t shorten_above = 1000;  // numbers: a tensor of up to so many is shown whole
static constexpr int64_t edge = 3;              // what stays at each end of a shortened axis
static constexpr size_t line_width = 80;        // a longer row goes on in the next line

namespace {

// How all numbers of one tensor are written, so that the eye can compare them: with the same number of
// decimals, four significant digits for the largest and more, up to two, where the smallest would look like
// zero. When that is not enough the numbers are written in scientific form. Zeros that all numbers end in are
// left out.
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
    if (largest > 0 && !integers_) {
      const int for_largest = std::max(1, 3 - static_cast<int>(std::floor(std::log10(largest))));
      const int for_smallest = -static_cast<int>(std::floor(std::log10(smallest)));
      scientific_ =
          whole ? largest >= 1e8 : largest >= 1e5 || largest < 1e-3 || for_smallest > for_largest + 2;
      decimals_ = scientific_ ? 3 : whole ? 0 : std::max(for_largest, for_smallest);
      drop_common_zeros(numbers);
    }
    for (double x : numbers) width_ = std::max(width_, write(x).size());
  }

  size_t width() const { return width_; }
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
    const auto exact = [this](double x) {  // as far as an f32 can be
      return !std::isfinite(x) || std::abs(std::strtod(write(x).c_str(), nullptr) - x) <= 1e-6 * std::abs(x);
    };
    const int most = decimals_;
    for (decimals_ = 0; decimals_ < most; ++decimals_)
      if (std::all_of(numbers.begin(), numbers.end(), exact)) return;
  }

  bool integers_, scientific_ = false;
  int decimals_ = 0;
  size_t width_ = 0;
};

// Writes the numbers in brackets. `x` holds what is shown of a tensor of shape `whole`.
class Writer {
 public:
  Writer(const Tensor& x, const Shape& whole)
      : shape_(x.shape()), whole_(whole), numbers_(x.to_vector<double>()), format_(numbers_, x.dtype()) {}

  std::string text() {
    write(0);
    return text_;
  }

 private:
  void write(int axis) {
    if (axis == shape_.rank) {
      text_ += format_(numbers_[next_++]);
      return;
    }
    text_ += '[';
    for (int64_t i = 0; i < shape_[axis]; ++i) {
      if (i > 0) separate(axis);
      if (i == edge && shape_[axis] < whole_[axis]) {
        text_ += "...";
        separate(axis);
      }
      write(axis + 1);
    }
    text_ += ']';
  }

  // Numbers stand side by side, rows one below the other, matrices with an empty line between them.
  void separate(int axis) {
    text_ += ',';
    const int inner_axes = shape_.rank - 1 - axis;
    if (inner_axes == 0 && text_.size() - line_start_ + format_.width() + 2 <= line_width) {
      text_ += ' ';
    } else {
      text_.append(std::max(1, inner_axes), '\n');
      line_start_ = text_.size();
      text_.append(axis + 1, ' ');
    }
  }

  Shape shape_, whole_;
  std::vector<double> numbers_;
  NumberFormat format_;
  std::string text_;
  size_t next_ = 0, line_start_ = 0;
};

}  // namespace

std::string print(const Tensor& x) {
  if (!x) return "no tensor";
  Tensor shown = x;
  if (x.count() > shorten_above)
    for (int axis = 0; axis < x.rank(); ++axis)
      if (const int64_t n = x.size(axis); n > 2 * edge)
        shown = concatenate(std::vector{shown.slice(axis, 0, edge), shown.slice(axis, n - edge, n)}, axis);
  const std::string numbers = x.count() == 0 ? "[]" : Writer(shown, x.shape()).text();
  return fmt::format("{}\n{} {} on {}", numbers, name_of(x.dtype()), x.shape(), x.backend().name());
}

}  // namespace chapbook
