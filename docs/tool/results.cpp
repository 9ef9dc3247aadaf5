#include "docs/tool/results.h"

#include <fmt/format.h>

#include <cmath>
#include <regex>

#include "apps/report/machine.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {

Results::Results(std::string name, const std::vector<std::string>& sources, uint64_t seed)
    : name_(std::move(name)), seed_(seed) {
  for (const std::string& source : sources) sources_[source] = digest(CHAPBOOK_SOURCE_DIR, source);
}

void Results::figure(const std::string& name, const Plot& plot) { figures_[name] = to_json(plot); }

std::string Results::text() const {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  Json manifest = {{"command", "./chapbook docs --run " + name_}};
  manifest.update(machine_json());
  manifest["seed"] = seed_;
  manifest["seconds"] = std::round(seconds * 10) / 10;
  manifest["configuration"] = configuration;
  manifest["sources"] = sources_;
  const Json all = {{"manifest", manifest}, {"values", values}, {"figures", figures_}};
  // One line for each entry: short enough to read, and lists of numbers on one line.
  std::string text = "{";
  for (const auto& [part, entries] : all.items()) {
    text += fmt::format("{}\n\"{}\": {{", text.size() > 1 ? "," : "", part);
    bool first = true;
    for (const auto& [key, value] : entries.items()) {
      text += fmt::format("{}\n  {}: {}", first ? "" : ",", Json(key).dump(), value.dump());
      first = false;
    }
    text += first ? "}" : "\n}";
  }
  return text + "\n}\n";
}

void Results::write() const {
  const std::string path = "docs/results/" + name_ + ".json";
  make_directory(std::string(CHAPBOOK_SOURCE_DIR) + "/docs/results");
  write_file(std::string(CHAPBOOK_SOURCE_DIR) + "/" + path, text());
  fmt::print("written to {}\n", path);
}

Json to_json(const Plot& plot) {
  Json lines = Json::array();
  for (const Line& line : plot.lines) {
    Json json = {{"name", line.name}, {"x", line.x}, {"y", line.y}};
    if (!line.low.empty()) json["low"] = line.low;
    if (line.faint) json["faint"] = true;
    lines.push_back(json);
  }
  return {{"title", plot.title}, {"x_label", plot.x_label}, {"y_label", plot.y_label},
          {"log_x", plot.log_x}, {"log_y", plot.log_y},     {"lines", lines}};
}

// What is not finite is null in JSON.
static std::vector<double> numbers(const Json& json) {
  std::vector<double> result;
  for (const Json& number : json) result.push_back(number.is_null() ? NAN : number.get<double>());
  return result;
}

Plot plot_from_json(const Json& json) {
  Plot plot{.title = json.at("title"),
            .x_label = json.at("x_label"),
            .y_label = json.at("y_label"),
            .log_x = json.at("log_x"),
            .log_y = json.at("log_y"),
            .lines = {}};
  for (const Json& line : json.at("lines"))
    plot.lines.push_back({.name = line.at("name"),
                          .x = numbers(line.at("x")),
                          .y = numbers(line.at("y")),
                          .faint = line.value("faint", false),
                          .low = numbers(line.value("low", Json::array()))});
  return plot;
}

std::string digest(const std::string& root, const std::string& source) {
  const size_t hash = source.find('#');
  const Source file{source.substr(0, hash), read_file(root + "/" + source.substr(0, hash))};
  std::string_view text = file.text;
  if (hash != std::string::npos) {
    const Piece piece = find_piece(file, source.substr(hash + 1));
    text = text.substr(piece.begin, piece.end - piece.begin);
  }
  // What is measured does not change with a comment, or with where a line breaks.
  static const std::regex silent(R"(//[^\n]*|\s+)");
  const std::string code = std::regex_replace(std::string(text), silent, "");
  uint64_t number = 14695981039346656037u;  // FNV-1a
  for (const unsigned char letter : code) number = (number ^ letter) * 1099511628211u;
  return fmt::format("{:016x}", number);
}

std::vector<std::string> changed_sources(const std::string& root, const Json& manifest) {
  std::vector<std::string> changed;
  const Json sources = manifest.value("sources", Json::object());
  for (const auto& [source, was] : sources.items()) {
    std::string is;
    try {
      is = digest(root, source);
    } catch (const Error&) {  // it is gone, which is a change
    }
    if (is != was.get<std::string>()) changed.push_back(source);
  }
  return changed;
}

Json read_json(const std::string& path) {
  const std::string text = read_file(path);
  if (!path.ends_with(".jsonl")) {
    Json json = Json::parse(text, nullptr, false);
    check(!json.is_discarded(), "{} is not JSON", path);
    return json;
  }
  Json rows = Json::array();
  for (const std::string& line : split_lines(text)) {
    rows.push_back(Json::parse(line, nullptr, false));
    check(!rows.back().is_discarded(), "{}:{} is not JSON", path, rows.size());
  }
  return rows;
}

// Whether an element has all of "name=memory read&shape=1 thread".
static bool is_like(const Json& element, const std::string& wanted) {
  for (size_t begin = 0; begin <= wanted.size();) {
    const size_t end = std::min(wanted.find('&', begin), wanted.size()), equals = wanted.find('=', begin);
    if (equals >= end || !element.is_object()) return false;
    const Json value = element.value(wanted.substr(begin, equals - begin), Json());
    if ((value.is_string() ? value.get<std::string>() : value.dump()) !=
        wanted.substr(equals + 1, end - equals - 1))
      return false;
    begin = end + 1;
  }
  return true;
}

const Json& at_path(const Json& json, const std::string& path) {
  const Json* here = &json;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string step = path.substr(begin, end - begin);
    const Json* next = nullptr;
    if (here->is_object() && here->contains(step)) {
      next = &(*here)[step];
    } else if (here->is_array() && step.find('=') != std::string::npos) {
      for (const Json& element : *here) {
        if (!is_like(element, step)) continue;
        check(!next, "{}: there are several {}", path, step);
        next = &element;
      }
    } else if (here->is_array() && !step.empty() &&
               step.find_first_not_of("0123456789") == std::string::npos) {
      const size_t place = std::stoul(step);
      if (place < here->size()) next = &(*here)[place];
    }
    check(next, "there is no \"{}\"{}", step, begin ? " at " + path.substr(0, begin - 1) : "");
    here = next;
    begin = end + 1;
  }
  return *here;
}

std::string format_value(const Json& value, const std::string& format) {
  check(value.is_number() || value.is_string(), "{} is neither a number nor text",
        value.dump().substr(0, 60));
  if (value.is_string()) {  // which has no lines inside a sentence
    static const std::regex breaks(R"(\s*\n\s*)");
    return std::regex_replace(value.get<std::string>(), breaks, " ");
  }
  try {
    if (format == ",") {
      std::string digits = fmt::format("{:.0f}", value.get<double>());
      for (int i = static_cast<int>(digits.size()) - 3; i > (digits[0] == '-'); i -= 3)
        digits.insert(static_cast<size_t>(i), ",");
      return digits;
    }
    const std::string spec = "{:" + format + "}";
    if (value.is_number_integer() && format.find_first_of(".efg%") == std::string::npos)
      return fmt::format(fmt::runtime(spec), value.get<int64_t>());
    return fmt::format(fmt::runtime(spec), value.get<double>());
  } catch (const fmt::format_error&) {
    fail("\"{}\" is no format of a number: like .2f, .1e, d or ,", format);
  }
}

}  // namespace chapbook
