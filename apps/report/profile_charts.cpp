#include "apps/report/profile_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/report/svg.h"

namespace chapbook {
namespace {

// Kinds of ops, each a colour.
constexpr std::array<std::string_view, colours> kinds = {"products", "attention", "norms, softmax, loss",
                                                         "elementwise, sums", "copies, tables"};

size_t kind_of(std::string_view op) {
  const auto starts = [&](std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return op.starts_with(name); });
  };
  if (starts({"matmul"})) return 0;
  if (starts({"attention"})) return 1;
  if (starts({"layer_norm", "softmax", "log_softmax", "cross_entropy"})) return 2;
  if (starts({"unary", "binary", "where", "reduce", "square_sum", "adamw", "argmax"})) return 3;
  return 4;
}

constexpr std::array phases = {Phase::forward, Phase::backward, Phase::optimizer};
constexpr double left = 88, top = 64;

std::string bar(double x, double y, double width, double height, std::string_view look,
                std::string_view title) {
  return fmt::format(
      "<rect class=\"area {}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
      "height=\"{:.1f}\"><title>{}</title></rect>\n",
      look, x, y, width, height, escape(title));
}

std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }

}  // namespace

std::string timeline_svg(const StepProfile& profile) {
  constexpr double width = 960, right = width - 24, lane = 40, memory_top = top + 3 * lane + 24,
                   memory_bottom = memory_top + 130;
  const double end = 1e3 * std::max(profile.whole, 1e-9);
  size_t most = std::max(profile.peak, profile.live_before);
  for (const Call& call : profile.calls) most = std::max(most, call.live);
  const Axis time{false, 0, end, left, right};
  const Axis memory{false, 0, std::max(1.05 * static_cast<double>(most) / 1e6, 1e-3), memory_bottom,
                    memory_top};
  std::string out = legend(left, {kinds.begin(), kinds.end()}) + axes(time, memory, "ms", "MB in use");
  for (const Phase phase : phases)
    out += text(left - 8, top + lane * (static_cast<double>(phase) + 0.5) + 4, name_of(phase), "end");
  std::string curve =
      fmt::format("M{} {:.2f}", left, memory.pixel(static_cast<double>(profile.live_before) / 1e6));
  for (const Call& call : profile.calls) {
    const double x = time.pixel(1e3 * call.start), ms = 1e3 * (call.end - call.start);
    out += bar(x, top + lane * static_cast<double>(call.phase), std::max(time.pixel(1e3 * call.end) - x, 0.2),
               lane - 8, fmt::format("c{}", kind_of(call.op)),
               fmt::format("{} {}: {:.3f} ms", call.op, call.shapes, ms));
    curve += fmt::format(" H{:.2f} V{:.2f}", time.pixel(1e3 * call.end),
                         memory.pixel(static_cast<double>(call.live) / 1e6));
  }
  const double peak = memory.pixel(static_cast<double>(profile.peak) / 1e6);
  out += fmt::format("<path class=\"line c0\" d=\"{} H{}\"/>\n", curve, right);
  out += fmt::format("<path class=\"line faint c1\" d=\"M{} {:.2f} H{}\"/>\n", left, peak, right);
  out +=
      text(right, peak - 4,
           fmt::format("peak {} MB", short_label(std::round(static_cast<double>(profile.peak) / 1e4) / 100)),
           "end");
  return page(width, memory_bottom + 52, left,
              fmt::format("A training step of {:.2f} ms, call by call", 1e3 * profile.seconds()), out);
}

std::string roofline_svg(const StepProfile& profile) {
  constexpr double width = 1040, height = 480, right = 560, bottom = height - 52, names_left = right + 56;
  constexpr size_t named = 10;  // the rows that take longest have their names beside the picture
  const Limits& limits = profile.limits;
  const double ridge = limits.flops / limits.bandwidth();
  std::vector<double> intensities{ridge / 4, 4 * ridge}, speeds{limits.flops, limits.flops / 16};
  double without = 0;  // seconds of ops that do not compute
  std::vector<OpRow> rows;
  for (OpRow& row : op_rows(profile)) {
    if (row.cost.flops == 0 || row.seconds == 0) {
      without += row.seconds;
      continue;
    }
    intensities.push_back(row.cost.flops / row.cost.bytes());
    speeds.push_back(row.cost.flops / row.seconds);
    rows.push_back(std::move(row));
  }
  Axis x{true, 1, 1, left, right}, y{true, 1, 1, bottom, top};
  bool any_x = false, any_y = false;
  fit(x, intensities, any_x), fit(y, speeds, any_y);
  widen(x, 0.05), widen(y, 0.05);
  std::string out =
      legend(left, {kinds.begin(), kinds.end()}) + axes(x, y, "FLOP per byte", "FLOP per second");

  // The roof, from where its slope enters the picture.
  const double from = std::max(x.low, y.low / limits.bandwidth());
  out += fmt::format("<path class=\"line c4\" d=\"M{:.1f} {:.1f} L{:.1f} {:.1f} H{}\"/>\n", x.pixel(from),
                     y.pixel(from * limits.bandwidth()), x.pixel(ridge), y.pixel(limits.flops), right);
  out += text(right - 4, y.pixel(limits.flops) - 6, fmt::format("{:.0f} GFLOP/s", limits.flops / 1e9), "end");
  out += text(x.pixel(ridge) - 12, y.pixel(limits.flops) - 6,
              fmt::format("{:.1f} GB/s", limits.bandwidth() / 1e9), "end");

  for (const OpRow& row : rows)
    out += fmt::format(
        "<circle class=\"area c{}\" opacity=\"0.75\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\">"
        "<title>{}</title></circle>\n",
        kind_of(row.op), x.pixel(row.cost.flops / row.cost.bytes()), y.pixel(row.cost.flops / row.seconds),
        2 + 40 * std::sqrt(row.seconds / profile.seconds()), escape(row.op + " " + row.shapes));

  // Names stand in the order of speed, so that the lines to them seldom cross.
  rows.resize(std::min(rows.size(), named));
  std::stable_sort(rows.begin(), rows.end(), [](const OpRow& a, const OpRow& b) {
    return a.cost.flops / a.seconds > b.cost.flops / b.seconds;
  });
  double line = top + 8;
  for (const OpRow& row : rows) {
    out += fmt::format("<path class=\"axis\" fill=\"none\" d=\"M{:.1f} {:.1f} L{} {:.1f} h12\"/>\n",
                       x.pixel(row.cost.flops / row.cost.bytes()), y.pixel(row.cost.flops / row.seconds),
                       names_left - 18, line - 4);
    out += text(names_left, line, fmt::format("{} {}", row.op, row.shapes));
    out += text(names_left, line + 16,
                fmt::format("{}: {} of the step, {:.0f}% of the roof", name_of(row.phase),
                            percent(row.seconds / profile.seconds()), 100 * row.share_of_roof(limits)));
    line += 36;
  }
  out += text(
      names_left, bottom + 12,
      fmt::format("Not here: ops without arithmetic, {} of the step", percent(without / profile.seconds())));
  return page(width, height, left, "How near to the machine's limits each op of a training step comes", out);
}

std::string step_svg(const StepProfile& profile) {
  constexpr double width = 960, right = width - 24, lane = 48, bottom = top + 4 * lane;
  std::array<std::array<double, colours>, 4> ms{};  // by phase, the last of the whole step; by kind
  for (const Call& call : profile.calls)
    for (const size_t row : {static_cast<size_t>(call.phase), size_t{3}})
      ms[row][kind_of(call.op)] += 1e3 * (call.end - call.start);
  const double step = 1e3 * std::max(profile.seconds(), 1e-9);
  const Axis time{false, 0, step, left, right};
  std::vector<std::string> names;
  for (size_t kind = 0; kind < colours; ++kind)
    names.push_back(fmt::format("{} {}", kinds[kind], percent(ms[3][kind] / step)));
  std::string out = legend(left, names);
  for (const double tick : ticks(0, step, 8, false))
    out += fmt::format("<path class=\"grid\" d=\"M{0:.1f} {1} V{2}\"/>\n", time.pixel(tick), top, bottom) +
           text(time.pixel(tick), bottom + 18, short_label(tick), "middle");
  out += text((left + right) / 2, bottom + 40, "ms", "middle");
  for (size_t row = 0; row < ms.size(); ++row) {
    const std::string_view name = row < 3 ? name_of(phases[row]) : "step";
    const double y = top + lane * static_cast<double>(row) + 6;
    double at = 0;
    const auto segment = [&](std::string_view what, double length, const std::string& look) {
      out += bar(time.pixel(at), y, std::max(time.pixel(at + length) - time.pixel(at), 0.0), lane - 12, look,
                 fmt::format("{}: {:.3f} ms, {} of the step", what, length, percent(length / step)));
      at += length;
    };
    out += text(left - 8, y + 22, name, "end");
    for (size_t kind = 0; kind < colours; ++kind)
      if (ms[row][kind] > 0) segment(kinds[kind], ms[row][kind], fmt::format("c{}", kind));
    if (row == 3) segment("between calls", 1e3 * profile.between_ops(), "faint c4");
  }
  return page(width, bottom + 52, left,
              fmt::format("Where the {:.2f} ms of a training step go; {} of them between calls", step,
                          percent(1e3 * profile.between_ops() / step)),
              out);
}

}  // namespace chapbook
