#include "apps/plot.h"

#include <cmath>

#include "tensor/check.h"

namespace chapbook {

static constexpr double width = 760, height = 420, left = 64, right = 24, top = 64,
                        bottom = 52;  // the picture and its margins, pixels

// What the line is drawn as: SVG path data.
static std::string path(const Line& line, const Axis& x_axis, const Axis& y_axis) {
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

  std::string out = axes(x_axis, y_axis, plot.x_label, plot.y_label);
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
  return page(width, height, left, plot.title, out);
}

}  // namespace chapbook
