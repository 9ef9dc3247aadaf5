#include "apps/report/bench_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <tuple>

#include "apps/report/machine.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

Json to_json(const Measurement& m) {
  Json json = {{"section", m.section}, {"name", m.name},     {"backend", m.backend}, {"shape", m.shape},
               {"unit", m.unit},       {"median", m.median}, {"min", m.min},         {"max", m.max},
               {"repeats", m.repeats}, {"flops", m.flops},   {"bytes", m.bytes},     {"share", nullptr}};
  if (m.share) json["share"] = *m.share;
  return json;
}

Json machine_line(const std::string& command) {
  Json line = {{"section", "machine"}};
  line.update(machine_json());
  line["vectors"] = fmt::format("{}", fmt::join(vectors_of_processor(), " "));
  line["command"] = command;
  return line;
}

double BenchFile::limit(const std::string& name) const {
  double best = 0;
  for (const Measurement& m : measurements)
    if (m.section == "limits" && m.name == name) best = std::max(best, m.median);
  return best;
}

namespace {

// Text that may go to a terminal and into a picture.
std::string text(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  check(found != json.end() && found->is_string(), "{}: \"{}\" is missing or not text", where, key);
  const auto& value = found->get_ref<const std::string&>();
  check(std::none_of(value.begin(), value.end(), [](unsigned char letter) { return letter < ' '; }),
        "{}: \"{}\" holds a control character", where, key);
  return value;
}

double number(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  check(found != json.end() && found->is_number(), "{}: \"{}\" is missing or not a number", where, key);
  const double value = found->get<double>();
  check(std::isfinite(value) && value >= 0, "{}: \"{}\" is {}, which no measurement gives", where, key,
        value);
  return value;
}

void check_speed(const Measurement& m, const std::string& where) {
  check(m.min <= m.median && m.median <= m.max && m.median > 0,
        "{}: median {} is not between min {} and max {}", where, m.median, m.min, m.max);
}

Measurement measurement(const Json& json, const std::string& where) {
  Measurement m{.section = text(json, "section", where),
                .name = text(json, "name", where),
                .backend = text(json, "backend", where),
                .shape = text(json, "shape", where),
                .unit = text(json, "unit", where),
                .median = number(json, "median", where),
                .min = number(json, "min", where),
                .max = number(json, "max", where),
                .repeats = static_cast<int64_t>(std::min(number(json, "repeats", where), 1e9)),
                .flops = number(json, "flops", where),
                .bytes = number(json, "bytes", where),
                .share = {}};
  check(json.contains("share"), "{}: \"share\" is missing", where);
  if (!json["share"].is_null()) m.share = number(json, "share", where);
  check_speed(m, where);
  return m;
}

Json about_machine(const Json& json, const std::string& where) {
  for (const char* key : {"processor", "commit", "date"}) text(json, key, where);
  return json;
}

const Json& member(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  check(found != json.end(), "{}: \"{}\" is missing", where, key);
  return *found;
}

// One object: the machine, and rows of speeds of us and of others.
BenchFile read_rivals(const Json& json, const std::string& path) {
  BenchFile file{.path = path, .machine = about_machine(json, path), .measurements = {}};
  const auto repeats = static_cast<int64_t>(std::min(number(json, "rounds", path), 1e9));
  int64_t count = 0;
  for (const Json& row : json["rows"]) {
    const std::string where = fmt::format("{}: row {}", path, ++count);
    check(row.is_object(), "{} is no object", where);
    const bool steps = row.contains("model");
    const std::string precision = text(row, "precision", where);
    Measurement m{};
    m.section = steps ? "train" : "products";
    m.name = text(row, steps ? "model" : "product", where);
    m.unit = steps ? "tokens/s" : "GFLOP/s";
    m.repeats = repeats;
    if (precision != "f32") m.name += ", " + precision;
    const auto size = [&](const Json& of, const char* key) {
      return static_cast<int64_t>(std::min(number(of, key, where), 1e15));
    };
    if (steps) {
      const Json& shape = member(row, "shape", where);
      m.shape = fmt::format("L={} C={} V={} B={} T={}", size(shape, "layers"), size(shape, "width"),
                            size(shape, "vocabulary"), size(shape, "batch"), size(shape, "context"));
    } else {
      m.shape = fmt::format("({0}, {2}) ({2}, {1})", size(row, "m"), size(row, "n"), size(row, "k"));
    }
    const Json& speeds = member(row, steps ? "tokens_per_second" : "gflops", where);
    check(speeds.is_object(), "{}: its speeds are no object", where);
    for (const auto& [side, speed] : speeds.items()) {
      m.backend = text({{"side", side}}, "side", where);
      m.median = number(speed, "median", where);
      m.min = number(speed, "min", where), m.max = number(speed, "max", where);
      check_speed(m, where);
      file.measurements.push_back(m);
    }
  }
  check(!file.measurements.empty(), "{}: holds no measurements", path);
  return file;
}

}  // namespace

BenchFile read_bench_file(const std::string& path) {
  const std::string all = read_file(path);
  if (const Json json = try_parse_json(all);
      json.is_object() && json.contains("rows") && json["rows"].is_array())
    return read_rivals(json, path);
  BenchFile file{.path = path, .machine = {}, .measurements = {}};
  int64_t line = 0;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    const std::string where = fmt::format("{}:{}", path, ++line);
    const Json json = try_parse_json(std::string_view(all).substr(begin, end - begin));
    check(json.is_object(), "{}: not a line of ./chapbook bench{}", where,
          end == all.size() ? "; is the file cut off?" : "");
    if (line == 1) {
      check(text(json, "section", where) == "machine", "{}: the first line is not about the machine", where);
      file.machine = about_machine(json, where);
    } else {
      file.measurements.push_back(measurement(json, where));
    }
    begin = end + 1;
  }
  check(!file.measurements.empty(), "{}: holds no measurements", path);
  return file;
}

Comparison compare(const std::vector<BenchFile>& files, const std::string& filter) {
  std::regex wanted;
  try {
    wanted = filter;
  } catch (const std::regex_error&) {
    fail("--filter: \"{}\" is not a regular expression", filter);
  }
  Comparison result;
  std::map<std::string, size_t> columns;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, size_t> rows;
  for (size_t i = 0; i < files.size(); ++i) {
    for (const Measurement& m : files[i].measurements) {
      if (!std::regex_search(m.section + " " + m.name, wanted)) continue;
      const std::string column = files.size() == 1 ? m.backend : fmt::format("[{}] {}", i + 1, m.backend);
      const size_t at = columns.emplace(column, columns.size()).first->second;
      if (at == result.columns.size()) result.columns.push_back(column);
      const size_t row =
          rows.emplace(std::tuple(m.section, m.name, m.shape, m.unit), rows.size()).first->second;
      if (row == result.rows.size()) result.rows.push_back({m, {}});
      auto& each = result.rows[row].each;
      if (each.size() <= at) each.resize(at + 1);
      check(!each[at], "{}: {} {} {} of {} is there twice", files[i].path, m.section, m.name, m.shape,
            m.backend);
      each[at] = m;
    }
  }
  for (Comparison::Row& row : result.rows) row.each.resize(result.columns.size());
  return result;
}

namespace {

// Three digits: 1234, 123, 12.3, 1.23.
std::string digits(double x) { return fmt::format("{:.{}f}", x, x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2); }

// Of a width of 28.
std::string cell(const std::optional<Measurement>& m, const std::optional<Measurement>& first) {
  if (!m) return std::string(28, ' ');
  const double spread = 50 * (m->max - m->min) / m->median;
  const std::string share = m->share ? fmt::format("{:.0f}%", 100 * *m->share) : "";
  const std::string ratio = first ? digits(m->median / first->median) + "x" : "";
  return fmt::format("{:>8} ±{:>3.0f}% {:>5} {:>7} ", digits(m->median), spread, share, ratio);
}

}  // namespace

std::string table(const Comparison& comparison) {
  const auto label = [](const Measurement& m) { return fmt::format("  {} {} {}", m.name, m.shape, m.unit); };
  size_t label_width = 0;
  for (const auto& row : comparison.rows) label_width = std::max(label_width, label(row.what).size());
  std::string out, section;
  std::vector<size_t> shown;  // columns with numbers in this section
  const auto end_line = [&] {
    out.resize(out.find_last_not_of(' ') + 1);
    out += '\n';
  };
  for (const auto& row : comparison.rows) {
    if (row.what.section != section) {
      if (!section.empty()) out += '\n';
      section = row.what.section;
      out += fmt::format("{:<{}}", section, label_width);
      shown.clear();
      for (size_t i = 0; i < comparison.columns.size(); ++i)
        if (std::any_of(comparison.rows.begin(), comparison.rows.end(),
                        [&](const auto& each) { return each.what.section == section && each.each[i]; }))
          shown.push_back(i);
      for (const size_t i : shown) out += fmt::format("   {:<25}", comparison.columns[i]);
      end_line();
    }
    out += fmt::format("{:<{}}", label(row.what), label_width);
    for (size_t i = 0; i < row.each.size(); ++i) out += cell(row.each[i], i > 0 ? row.each[0] : std::nullopt);
    end_line();
  }
  return out;
}

}  // namespace chapbook
