#include "apps/plot.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "tensor/check.h"

namespace chapbook {
namespace {

constexpr double width = 760, height = 420, left = 64, right = 24, top = 64,
                 bottom = 52;  // the picture and its margins, pixels

// Line colours that differ in lightness too, so that they can be told apart without seeing colour; a second
// set for dark pages.
constexpr const char* style = R"(<style>
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-size: 16px; font-weight: 600 }
  .grid { stroke: #ddd }
  .axis { stroke: #888 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .faint { stroke-width: 1; opacity: 0.45 }
  .c0 { stroke: #2f6db5 } .c1 { stroke: #d9731a } .c2 { stroke: #1d7a4a } .c3 { stroke: #8a4fa8 } .c4 { stroke: #777 }
  .paper { fill: #fff }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd }
    .grid { stroke: #333 }
    .axis { stroke: #888 }
    .c0 { stroke: #7fb2ec } .c1 { stroke: #f5a65b } .c2 { stroke: #62c993 } .c3 { stroke: #c79be0 } .c4 { stroke: #aaa }
    .paper { fill: #16181d }
  }
</style>
)";
constexpr size_t colours = 5;

std::string escape(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '&')
      result += "&amp;";
    else if (letter == '<')
      result += "&lt;";
    else if (letter == '>')
      result += "&gt;";
    else
      result += letter;
  }
  return result;
}

// 1200000 -> "1.2M". Below a thousand as it is.
std::string label(double x) {
  static constexpr std::pair<double, const char*> units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (const auto& [size, name] : units)
    if (std::abs(x) >= size) return fmt::format("{:g}{}", x / size, name);
  return fmt::format("{:g}", std::abs(x) < 1e-12 ? 0.0 : x);
}

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

void fit(Axis& axis, const std::vector<double>& numbers, bool& any) {
  for (const double x : numbers) {
    if (!axis.shows(x)) continue;
    axis.low = any ? std::min(axis.low, x) : x;
    axis.high = any ? std::max(axis.high, x) : x;
    any = true;
  }
}

// Room above and below; and some room even around one number alone.
void widen(Axis& axis, double share) {
  if (axis.logarithmic) {
    const double factor = axis.high > axis.low ? std::pow(axis.high / axis.low, share) : 2;
    axis.low /= factor, axis.high *= factor;
  } else {
    const double extra =
        axis.high > axis.low ? (axis.high - axis.low) * share : std::max(std::abs(axis.low) / 2, 0.5);
    axis.low -= extra, axis.high += extra;
  }
}

std::string path(const Line& line, const Axis& x_axis, const Axis& y_axis) {
  struct Point {
    double x = 0, y = 0;
    int64_t count = 0;
  };
  std::vector<Point> points;
  double column = -1;
  for (size_t i = 0; i < line.x.size(); ++i) {
    if (!x_axis.shows(line.x[i]) || !y_axis.shows(line.y[i])) continue;
    const double x = x_axis.pixel(line.x[i]), y = y_axis.pixel(line.y[i]);
    if (points.empty() || std::floor(x) != column) points.emplace_back();
    column = std::floor(x);
    points.back().x += x, points.back().y += y, ++points.back().count;
  }
  std::string result;
  for (const Point& point : points)
    result += fmt::format("{}{:.1f} {:.1f}", result.empty() ? "M" : " L", point.x / point.count,
                          point.y / point.count);
  if (points.size() == 1) result += " h0.1";  // with round ends, a dot
  return result;
}

}  // namespace

std::vector<double> ticks(double low, double high, int count, bool logarithmic) {
  std::vector<double> result;
  if (logarithmic) {
    for (const std::vector<double>& multiples :
         {std::vector<double>{1}, {1, 2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9}}) {
      result.clear();
      for (double exponent = std::floor(std::log10(low)); exponent <= std::log10(high); ++exponent)
        for (const double multiple : multiples)
          if (const double tick = multiple * std::pow(10, exponent); tick >= low && tick <= high)
            result.push_back(tick);
      if (result.size() >= 3) break;
    }
    const size_t every = (result.size() + static_cast<size_t>(count) - 1) / static_cast<size_t>(count);
    for (size_t i = 0; i * every < result.size(); ++i) result[i] = result[i * every];
    if (every > 1) result.resize((result.size() + every - 1) / every);
    return result;
  }
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough > 5 * power ? 10 : rough > 2 * power ? 5 : rough > power ? 2 : 1);
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i)
    result.push_back(i * step);
  return result;
}

std::string svg(const Plot& plot) {
  Axis x_axis{plot.log_x, 1, 1, left, width - right}, y_axis{plot.log_y, 1, 1, height - bottom, top};
  bool any_x = false, any_y = false;
  for (const Line& line : plot.lines) {
    check(line.x.size() == line.y.size(), "plot: line {} has {} x and {} y", line.name, line.x.size(),
          line.y.size());
    fit(x_axis, line.x, any_x);
    fit(y_axis, line.y, any_y);
  }
  widen(x_axis, 0);
  widen(y_axis, 0.04);

  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n{2}"
      "<rect class=\"paper\" width=\"{0}\" height=\"{1}\"/>\n<text class=\"title\" x=\"{3}\" "
      "y=\"26\">{4}</text>\n",
      width, height, style, left, escape(plot.title));
  for (const double tick : ticks(x_axis.low, x_axis.high, 7, plot.log_x)) {
    const double x = x_axis.pixel(tick);
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f} {1} V{2}\"/>\n<text x=\"{0:.1f}\" y=\"{3}\" "
        "text-anchor=\"middle\">{4}</text>\n",
        x, top, height - bottom, height - bottom + 18, label(tick));
  }
  for (const double tick : ticks(y_axis.low, y_axis.high, 6, plot.log_y)) {
    const double y = y_axis.pixel(tick);
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0} {1:.1f} H{2}\"/>\n<text x=\"{3}\" y=\"{4:.1f}\" "
        "text-anchor=\"end\">{5}</text>\n",
        left, y, width - right, left - 8, y + 4.5, label(tick));
  }
  out += fmt::format("<path class=\"axis\" fill=\"none\" d=\"M{} {} V{} H{}\"/>\n", left, top,
                     height - bottom, width - right);
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (left + width - right) / 2,
                     height - 12, escape(plot.x_label));
  out += fmt::format("<text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                     (top + height - bottom) / 2, escape(plot.y_label));
  double legend = left;
  for (size_t i = 0; i < plot.lines.size(); ++i) {
    const Line& line = plot.lines[i];
    const std::string points = path(line, x_axis, y_axis);
    if (points.empty()) continue;
    const std::string look = fmt::format("line c{}{}", i % colours, line.faint ? " faint" : "");
    out += fmt::format("<path class=\"{}\" stroke-linecap=\"round\" d=\"{}\"/>\n", look, points);
    out += fmt::format("<path class=\"{}\" d=\"M{} 45 h18\"/>\n<text x=\"{}\" y=\"49.5\">{}</text>\n", look,
                       legend, legend + 24, escape(line.name));
    legend +=
        44 + 7.5 * static_cast<double>(line.name.size());  // an estimate: only the reader knows the font
  }
  return out + "</svg>\n";
}

}  // namespace chapbook
