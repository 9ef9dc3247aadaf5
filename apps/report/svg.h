// What all pictures share: a page in colours for light and dark, and axes with round numbers. Every function
// gives SVG text; the same numbers always give the same bytes.
#pragma once
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace chapbook {

// Colours for class "line" (a stroke) or "area" (a fill): "c0" to "c4".
constexpr size_t colours = 5;

// A whole picture. The title stands `left` pixels from the left.
std::string page(double width, double height, double left, std::string_view title, std::string_view body);

std::string escape(std::string_view text);  // &, < and > in SVG's spelling
std::string short_label(double x);          // 1200000 -> "1.2M"; below a thousand as it is
std::string text(double x, double y, std::string_view words, std::string_view anchor = "start");

// The colours in turn with a name each, in a row below the title, from `x` on.
std::string legend(double x, const std::vector<std::string>& names);

// From numbers to pixels.
struct Axis {
  bool logarithmic;
  double low, high;   // of the numbers shown
  double begin, end;  // pixels

  bool shows(double x) const { return std::isfinite(x) && (!logarithmic || x > 0); }
  double scale(double x) const { return logarithmic ? std::log10(x) : x; }
  double pixel(double x) const {
    return begin + (end - begin) * (scale(x) - scale(low)) / (scale(high) - scale(low));
  }
};

// Makes the range hold the numbers that can be shown; `any`: whether it holds one already.
void fit(Axis& axis, const std::vector<double>& numbers, bool& any);
// Room of a share of the range on both sides; and some room even around one number alone.
void widen(Axis& axis, double share);

// Round numbers (1, 2 or 5 times a power of ten) inside [low, high], about `count` of them. On a logarithmic
// axis powers of ten, and their multiples when there would be fewer than three.
std::vector<double> ticks(double low, double high, int count, bool logarithmic);

// The grid with its numbers, the two axes and their names.
std::string axes(const Axis& x_axis, const Axis& y_axis, std::string_view x_label, std::string_view y_label);

}  // namespace chapbook
