#include "apps/report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chapbook {

// Line colours that differ in lightness too, so that they can be told apart without seeing colour; a second
// set for dark pages.
static constexpr const char* style = R"(<style>
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-size: 16px; font-weight: 600 }
  .grid { stroke: #ddd }
  .axis { stroke: #888 }
  .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round }
  .area { fill: currentColor }
  .faint { stroke-width: 1; opacity: 0.45 }
  .c0 { color: #2f6db5 } .c1 { color: #d9731a } .c2 { color: #1d7a4a } .c3 { color: #8a4fa8 } .c4 { color: #777 }
  .paper { fill: #fff }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd }
    .grid { stroke: #333 }
    .axis { stroke: #888 }
    .c0 { color: #7fb2ec } .c1 { color: #f5a65b } .c2 { color: #62c993 } .c3 { color: #c79be0 } .c4 { color: #aaa }
    .paper { fill: #16181d }
  }
</style>
)";

std::string page(double width, double height, double left, std::string_view title, std::string_view body) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n{2}"
      "<rect class=\"paper\" width=\"{0}\" height=\"{1}\"/>\n<text class=\"title\" x=\"{3}\" "
      "y=\"26\">{4}</text>\n{5}</svg>\n",
      width, height, style, left, escape(title), body);
}

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

std::string short_label(double x) {
  static constexpr std::pair<double, const char*> units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (const auto& [size, name] : units)
    if (std::abs(x) >= size) return fmt::format("{:g}{}", x / size, name);
  return fmt::format("{:g}", std::abs(x) < 1e-12 ? 0.0 : x);
}

std::string text(double x, double y, std::string_view words, std::string_view anchor) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape(words));
}

std::string legend(double x, const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    out += fmt::format("<rect class=\"area c{}\" x=\"{}\" y=\"38\" width=\"12\" height=\"12\"/>\n",
                       i % colours, x);
    out += text(x + 18, 49, names[i]);
    x += 38 + 7 * static_cast<double>(names[i].size());  // an estimate: only the reader knows the font
  }
  return out;
}

void fit(Axis& axis, const std::vector<double>& numbers, bool& any) {
  for (const double x : numbers) {
    if (!axis.shows(x)) continue;
    axis.low = any ? std::min(axis.low, x) : x;
    axis.high = any ? std::max(axis.high, x) : x;
    any = true;
  }
}

void widen(Axis& axis, double share) {
  if (axis.logarithmic) {
    const double factor = axis.high > axis.low ? std::pow(axis.high / axis.low, share) : 2;
    axis.low /= factor, axis.high *= factor;
  } else {
    const double extra = axis.high > axis.low ? (axis.high - axis.low) * share
                         : axis.low != 0      ? std::abs(axis.low) / 2
                                              : 0.5;
    axis.low -= extra, axis.high += extra;
  }
}

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

std::string axes(const Axis& x_axis, const Axis& y_axis, std::string_view x_label, std::string_view y_label) {
  const double left = x_axis.begin, right = x_axis.end, top = y_axis.end, bottom = y_axis.begin;
  std::string out;
  // Numbers need room; those of a logarithmic axis are short.
  const int along = x_axis.logarithmic ? 7 : static_cast<int>(std::clamp((right - left) / 60, 3.0, 7.0));
  for (const double tick : ticks(x_axis.low, x_axis.high, along, x_axis.logarithmic)) {
    const double x = x_axis.pixel(tick);
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f} {1} V{2}\"/>\n<text x=\"{0:.1f}\" y=\"{3}\" "
        "text-anchor=\"middle\">{4}</text>\n",
        x, top, bottom, bottom + 18, short_label(tick));
  }
  for (const double tick : ticks(y_axis.low, y_axis.high, 6, y_axis.logarithmic)) {
    const double y = y_axis.pixel(tick);
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0} {1:.1f} H{2}\"/>\n<text x=\"{3}\" y=\"{4:.1f}\" "
        "text-anchor=\"end\">{5}</text>\n",
        left, y, right, left - 8, y + 4.5, short_label(tick));
  }
  out += fmt::format("<path class=\"axis\" fill=\"none\" d=\"M{} {} V{} H{}\"/>\n", left, top, bottom, right);
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (left + right) / 2,
                     bottom + 40, escape(x_label));
  return out +
         fmt::format("<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                     left - 48, (top + bottom) / 2, escape(y_label));
}

}  // namespace chapbook
