#include "apps/report/bench_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/report/svg.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace {

constexpr double width = 1000, left = 72, right_margin = 24, top = 72;

using Curve = std::map<double, Measurement>;  // by size
using Curves = std::vector<Curve>;            // by column

// One op.
struct Panel {
  std::string name, unit;
  Curves curves;
};

// The measure of a size: what the unit counts.
double work_of(const Measurement& m) { return m.unit == "GFLOP/s" ? m.flops : m.bytes; }

std::vector<Panel> panels_of(const Comparison& comparison) {
  std::vector<Panel> panels;
  for (const auto& row : comparison.rows) {
    if (row.what.section != "ops" || work_of(row.what) <= 0) continue;
    auto panel = std::find_if(panels.begin(), panels.end(), [&](const Panel& p) {
      return p.name == row.what.name && p.unit == row.what.unit;
    });
    if (panel == panels.end())
      panel = panels.insert(panel, {row.what.name, row.what.unit, Curves(comparison.columns.size())});
    for (size_t i = 0; i < row.each.size(); ++i)
      if (row.each[i]) panel->curves[i].emplace(work_of(*row.each[i]), *row.each[i]);
  }
  std::erase_if(panels, [](const Panel& panel) {
    size_t most = 0;
    for (const Curve& curve : panel.curves) most = std::max(most, curve.size());
    return most < 2 || std::count(panel.curves.begin(), panel.curves.end(), Curve{}) + 1 >=
                           static_cast<int64_t>(panel.curves.size());
  });
  return panels;
}

// The sizes at which one becomes faster than the other: between two sizes where all repeats of one were
// faster than all of the other, by straight lines on logarithmic axes.
std::vector<double> crossings(const Curve& a, const Curve& b) {
  std::vector<double> result;
  double last_size = 0, last = 0;  // logarithms: of the size, and of the ratio there
  for (const auto& [size, x] : a) {
    const auto found = b.find(size);
    if (found == b.end()) continue;
    const Measurement& y = found->second;
    if (x.min <= y.max && y.min <= x.max) continue;
    const double now = std::log(x.median / y.median);
    if (last * now < 0)
      result.push_back(std::exp(last_size + (std::log(size) - last_size) * last / (last - now)));
    last_size = std::log(size), last = now;
  }
  return result;
}

double two_digits(double x) {
  const double unit = std::pow(10, std::floor(std::log10(x)) - 1);
  return std::round(x / unit) * unit;
}

std::string draw(const Panel& panel, double x0, double y0, double panel_width, double panel_height) {
  Axis x{true, 1, 1, x0, x0 + panel_width}, y{true, 1, 1, y0 + panel_height, y0};
  bool any_x = false, any_y = false;
  for (const Curve& curve : panel.curves)
    for (const auto& [size, m] : curve) fit(x, {size}, any_x), fit(y, {m.median}, any_y);
  widen(x, x.high < 8 * x.low ? 0.4 : 0.04);
  if (y.high > 8 * y.low)
    widen(y, 0.08);
  else
    y.logarithmic = false, y.low = 0, y.high *= 1.1;
  std::string out = axes(x, y, "", "") + text(x0, y0 - 10, fmt::format("{}: {}", panel.name, panel.unit));
  for (size_t i = 0; i < panel.curves.size(); ++i) {
    std::string path;
    for (const auto& [size, m] : panel.curves[i]) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x.pixel(size), y.pixel(m.median));
      out += fmt::format("<circle class=\"area c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", i % colours,
                         x.pixel(size), y.pixel(m.median));
    }
    if (!path.empty()) out += fmt::format("<path class=\"line c{}\" d=\"{}\"/>\n", i % colours, path);
    if (i == 0) continue;
    for (const double size : crossings(panel.curves[0], panel.curves[i])) {
      const double at = x.pixel(size);
      out += fmt::format("<path class=\"line faint c{}\" stroke-dasharray=\"4 3\" d=\"M{:.1f} {} V{}\"/>\n",
                         i % colours, at, y0, y0 + panel_height);
      const bool near_end = at > x0 + panel_width / 2;
      out += text(at + (near_end ? -5 : 5), y0 + panel_height - 8, "even at " + short_label(two_digits(size)),
                  near_end ? "end" : "start");
    }
  }
  return out;
}

}  // namespace

std::string sizes_svg(const Comparison& comparison) {
  constexpr size_t most = 12, across = 3;
  constexpr double panel_width = 236, panel_height = 150, step_x = 312, step_y = 214;
  std::vector<Panel> panels = panels_of(comparison);
  if (panels.empty()) return "";
  if (panels.size() > most) panels.resize(most);
  std::string out = legend(left, comparison.columns);
  for (size_t i = 0; i < panels.size(); ++i)
    out += draw(panels[i], left + step_x * static_cast<double>(i % across),
                top + 26 + step_y * static_cast<double>(i / across), panel_width, panel_height);
  const double height = top + 8 + step_y * std::ceil(static_cast<double>(panels.size()) / across) + 20;
  out +=
      text(left, height - 14, "Across: floating-point operations of one call for GFLOP/s, bytes for GB/s.");
  return page(width, height, left, "Which is faster, at which size", out);
}

std::string roofline_svg(const Comparison& comparison, const BenchFile& file) {
  constexpr double height = 560, bottom = height - 52, right = width - right_margin;
  const double flops = 1e9 * file.limit("multiply and add");
  const double bandwidth =
      1e9 * std::max({file.limit("memory read"), file.limit("memory triad"), file.limit("memory update")});
  struct Point {
    size_t column;
    std::string what;
    double x, y;
  };
  std::map<std::pair<size_t, std::string>, Measurement> largest;
  for (const auto& row : comparison.rows)
    for (size_t i = 0; i < row.each.size(); ++i)
      if (const auto& m = row.each[i]; m && m->section == "ops" && m->flops > 0 && m->bytes > 0) {
        const auto [at, fresh] = largest.try_emplace({i, m->name}, *m);
        if (!fresh && m->flops > at->second.flops) at->second = *m;
      }
  if (largest.empty() || flops <= 0 || bandwidth <= 0) return "";

  const double ridge = flops / bandwidth;
  std::vector<Point> points;
  std::vector<double> xs{ridge / 4, 4 * ridge}, ys{flops};
  for (const auto& [key, m] : largest) {
    const double speed = m.flops * 1e9 * m.median / work_of(m);
    points.push_back({key.first, fmt::format("{} {}: {:.3g} {}", m.name, m.shape, m.median, m.unit),
                      m.flops / m.bytes, speed});
    xs.push_back(points.back().x), ys.push_back(speed);
  }
  Axis x{true, 1, 1, left, right}, y{true, 1, 1, bottom, top};
  bool any_x = false, any_y = false;
  fit(x, xs, any_x), fit(y, ys, any_y);
  widen(x, 0.04), widen(y, 0.06);
  std::string out = legend(left, comparison.columns) + axes(x, y, "FLOP per byte", "FLOP per second");
  const double from = std::max(x.low, y.low / bandwidth);
  out += fmt::format("<path class=\"line c4\" d=\"M{:.1f} {:.1f} L{:.1f} {:.1f} H{}\"/>\n", x.pixel(from),
                     y.pixel(from * bandwidth), x.pixel(ridge), y.pixel(flops), right);
  out += text(right - 4, y.pixel(flops) - 6, fmt::format("{:.0f} GFLOP/s", flops / 1e9), "end");
  out += text(x.pixel(ridge) - 12, y.pixel(flops) - 6, fmt::format("{:.1f} GB/s", bandwidth / 1e9), "end");

  struct Box {
    double x, y, length;
  };
  std::vector<Box> taken;  // by names of dots: a name that would cover another is left out
  for (const Point& point : points) {
    const double at_x = x.pixel(point.x), at_y = y.pixel(point.y);
    out += fmt::format(
        "<circle class=\"area c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"><title>{}</title></circle>\n",
        point.column % colours, at_x, at_y, escape(point.what));
    const std::string name = point.what.substr(0, point.what.find(" ("));
    const double length = 7.2 * static_cast<double>(name.size());  // an estimate, as in legend()
    const Box box{at_x + 7 + length > width ? at_x - 7 - length : at_x + 7, at_y + 4.5, length};
    const bool free = std::none_of(taken.begin(), taken.end(), [&](const Box& other) {
      return std::abs(box.y - other.y) < 13 && box.x < other.x + other.length && other.x < box.x + box.length;
    });
    if (point.column != 0 || !free) continue;
    taken.push_back(box);
    out += text(box.x, box.y, name);
  }
  return page(width, height, left, "How near to the machine's limits the ops come", out);
}

StepTimes read_profile(const std::string& path) {
  const auto json = try_parse_json(read_file(path));
  const auto bad = [&](const char* what) {
    fail("{}: not a profile.json of ./chapbook profile: {}", path, what);
  };
  const auto seconds = [&](const Json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number()) bad("a time is missing");
    const double value = found->get<double>();
    if (!(value >= 0 && value < 1e9)) bad("a time makes no sense");
    return value;
  };
  if (!json.is_object() || !json.contains("step") || !json["step"].is_object()) bad("it has no \"step\"");
  if (!json.contains("ops") || !json["ops"].is_array()) bad("it has no \"ops\"");
  StepTimes times{.name = path, .parts = {}, .whole = seconds(json["step"], "seconds")};
  for (const auto& op : json["ops"]) {
    if (!op.is_object() || !op.contains("op") || !op["op"].is_string()) bad("an op has no name");
    const auto& name = op["op"].get_ref<const std::string&>();
    if (std::any_of(name.begin(), name.end(), [](unsigned char letter) { return letter < ' '; }))
      bad("the name of an op holds a control character");
    times.parts.push_back({name, seconds(op, "seconds")});
  }
  if (times.whole <= 0) bad("the step took no time");
  return times;
}

std::string steps_svg(const std::vector<StepTimes>& steps) {
  constexpr double lane = 58, right = width - right_margin;
  if (steps.empty()) return "";
  // As many kinds of ops as there are colours: those that take the most time in all files, and the rest.
  std::map<std::string, double> by_op;
  double longest = 0;
  for (const StepTimes& step : steps) {
    longest = std::max(longest, step.whole);
    for (const auto& part : step.parts) by_op[part.op.substr(0, part.op.find('+'))] += part.seconds;
  }
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [op, seconds] : by_op) order.emplace_back(-seconds, op);
  std::sort(order.begin(), order.end());
  const bool others = order.size() > colours;
  if (others) order.resize(colours - 1);
  std::vector<std::string> names;
  for (const auto& [seconds, op] : order) names.push_back(op);
  if (others) names.push_back("other ops");

  const double bottom = top + lane * static_cast<double>(steps.size());
  const Axis time{false, 0, 1e3 * longest, left, right};
  std::string out = legend(left, names);
  for (const double tick : ticks(0, 1e3 * longest, 8, false))
    out += fmt::format("<path class=\"grid\" d=\"M{0:.1f} {1} V{2}\"/>\n", time.pixel(tick), top, bottom) +
           text(time.pixel(tick), bottom + 18, short_label(tick), "middle");
  out += text((left + right) / 2, bottom + 40, "ms; faint: between ops", "middle");
  for (size_t i = 0; i < steps.size(); ++i) {
    std::vector<double> ms(names.size());
    double in_ops = 0;
    for (const auto& part : steps[i].parts) {
      const auto found = std::find(names.begin(), names.end() - others, part.op.substr(0, part.op.find('+')));
      ms[static_cast<size_t>(found - names.begin())] += 1e3 * part.seconds;
      in_ops += 1e3 * part.seconds;
    }
    const double y = top + lane * static_cast<double>(i) + 22;
    double at = 0;
    const auto segment = [&](std::string_view name, double length, std::string_view look) {
      out += fmt::format(
          "<rect class=\"area {}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\"><title>{}: "
          "{:.3g} ms"
          "</title></rect>\n",
          look, time.pixel(at), y, time.pixel(at + length) - time.pixel(at), 24, escape(name), length);
      at += length;
    };
    out += text(left, y - 6, fmt::format("{}: {:.1f} ms", steps[i].name, 1e3 * steps[i].whole));
    for (size_t kind = 0; kind < names.size(); ++kind)
      if (ms[kind] > 0) segment(names[kind], ms[kind], fmt::format("c{}", kind));
    segment("between ops", std::max(1e3 * steps[i].whole - in_ops, 0.0), "faint c4");
  }
  return page(width, bottom + 52, left, "Where the time of a training step goes", out);
}

}  // namespace chapbook
