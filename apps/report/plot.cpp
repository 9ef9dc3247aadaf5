#include "apps/report/plot.h"

#include <cmath>

#include "tensor/check.h"

namespace chapbook {

static constexpr double left = 64, right = 24, top = 64, bottom = 52;  // margins, pixels

// The curve through the points: SVG path data.
static std::string path(const std::vector<double>& xs, const std::vector<double>& ys, const Axis& x_axis,
                        const Axis& y_axis) {
  struct Point {
    double x = 0, y = 0;
    int64_t count = 0;
  };
  std::vector<Point> points;
  double column = -1;
  for (size_t i = 0; i < xs.size(); ++i) {
    if (!x_axis.shows(xs[i]) || !y_axis.shows(ys[i])) continue;
    const double x = x_axis.pixel(xs[i]), y = y_axis.pixel(ys[i]);
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

// Where the names of lines stand: below the title, from left to right, in as many rows as they take.
struct Place {
  double x = left, y = 45;
};

static std::vector<Place> legend(const Plot& plot) {
  std::vector<Place> places;
  Place next;
  for (const Line& line : plot.lines) {
    // An estimate: only the reader knows the font.
    const double length = 24 + 7.5 * static_cast<double>(line.name.size());
    if (next.x > left && next.x + length > plot.width) next = {left, next.y + 20};
    places.push_back(next);
    next.x += length + 20;
  }
  return places;
}

std::string svg(const Plot& plot) {
  const std::vector<Place> places = legend(plot);
  const double more_rows = places.empty() ? 0 : places.back().y - Place().y, height = plot.height + more_rows;
  Axis x_axis{plot.log_x, 1, 1, left, plot.width - right},
      y_axis{plot.log_y, 1, 1, height - bottom, top + more_rows};
  bool any_x = false, any_y = false;
  for (const Line& line : plot.lines) {
    check(line.x.size() == line.y.size(), "plot: line {} has {} x and {} y", line.name, line.x.size(),
          line.y.size());
    check(line.low.empty() || line.low.size() == line.x.size(), "plot: band {} has {} x and {} low",
          line.name, line.x.size(), line.low.size());
    fit(x_axis, line.x, any_x);
    fit(y_axis, line.y, any_y);
    fit(y_axis, line.low, any_y);
  }
  widen(x_axis, 0);
  widen(y_axis, 0.04);

  std::string out = axes(x_axis, y_axis, plot.x_label, plot.y_label);
  for (size_t i = 0; i < plot.lines.size(); ++i) {
    const Line& line = plot.lines[i];
    std::string points = path(line.x, line.y, x_axis, y_axis);
    if (points.empty()) continue;
    // A line with the colour of one before is dashed.
    std::string look = fmt::format("class=\"line c{}{}\"{}", i % colours, line.faint ? " faint" : "",
                                   i / colours % 2 ? " stroke-dasharray=\"7 4\"" : ""),
                sample = look;
    if (!line.low.empty()) {  // along y, and back along low
      const auto reversed = [](const std::vector<double>& v) { return std::vector(v.rbegin(), v.rend()); };
      const std::string back = path(reversed(line.x), reversed(line.low), x_axis, y_axis);
      if (back.empty()) continue;
      points += " L" + back.substr(1) + " Z";
      sample = look + " style=\"stroke-width: 10; opacity: 0.3\"";
      look = fmt::format("class=\"area c{}\" opacity=\"0.3\"", i % colours);
    }
    out += fmt::format("<path {} stroke-linecap=\"round\" d=\"{}\"/>\n", look, points);
    const auto [name_x, name_y] = places[i];
    out += fmt::format("<path {} d=\"M{} {} h18\"/>\n<text x=\"{}\" y=\"{}\">{}</text>\n", sample, name_x,
                       name_y, name_x + 24, name_y + 4.5, escape(line.name));
  }
  return page(plot.width, height, left, plot.title, out);
}

}  // namespace chapbook
