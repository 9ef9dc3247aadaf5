#include "apps/run/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

// The shortest digits that read back as the same number, so that equal runs have equal logs.
std::string digits(double x) {
  std::string text = fmt::format("{}", x);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::vector<std::string> split(std::string_view line, char separator) {
  std::vector<std::string> cells;
  for (;;) {
    const size_t end = line.find(separator);
    cells.emplace_back(line.substr(0, end));
    if (end == std::string_view::npos) return cells;
    line.remove_prefix(end + 1);
  }
}

// The number of digits that follow `prefix` at the start of the line.
std::optional<int64_t> step_of(std::string_view line, std::string_view prefix) {
  if (!line.starts_with(prefix)) return {};
  int64_t step;
  const auto [end, error] = std::from_chars(line.data() + prefix.size(), line.data() + line.size(), step);
  if (error != std::errc{}) return {};
  return step;
}

// The length of the part of a log to keep: whole lines up to the first of a later step, or one that is not
// understood.
size_t kept_length(const std::string& log, size_t begin, std::string_view prefix, int64_t last_step) {
  for (;;) {
    const size_t end = log.find('\n', begin);
    if (end == std::string::npos) return begin;
    const auto step = step_of(std::string_view(log).substr(begin, end - begin), prefix);
    if (!step || *step > last_step) return begin;
    begin = end + 1;
  }
}

}  // namespace

MetricsLog::MetricsLog(const std::string& directory, std::vector<std::string> columns, int64_t resumed_step)
    : columns_(std::move(columns)),
      csv_path_(directory + "/metrics.csv"),
      jsonl_path_(directory + "/metrics.jsonl") {
  const std::string header = fmt::format("step,{}\n", fmt::join(columns_, ","));
  std::string csv = header, jsonl;
  if (resumed_step >= 0 && std::filesystem::exists(csv_path_)) {
    csv = read_file(csv_path_);
    check(csv.starts_with(header), "{} has other columns than this version writes: move it away to resume",
          csv_path_);
    csv.resize(kept_length(csv, header.size(), "", resumed_step));
  }
  if (resumed_step >= 0 && std::filesystem::exists(jsonl_path_)) {
    jsonl = read_file(jsonl_path_);
    jsonl.resize(kept_length(jsonl, 0, "{\"step\": ", resumed_step));
  }
  write_file(csv_path_, csv);
  write_file(jsonl_path_, jsonl);
  csv_.emplace(os::File::to_append(csv_path_));
  jsonl_.emplace(os::File::to_append(jsonl_path_));
}

void MetricsLog::write(int64_t step, std::initializer_list<std::pair<std::string_view, double>> values) {
  std::vector<std::optional<double>> row(columns_.size());
  for (const auto& [name, value] : values) {
    const auto column = std::find(columns_.begin(), columns_.end(), name);
    check(column != columns_.end(), "the log has no column {}", name);
    row[static_cast<size_t>(column - columns_.begin())] = value;
  }
  std::string csv = fmt::format("{}", step), jsonl = fmt::format("{{\"step\": {}", step);
  for (size_t i = 0; i < row.size(); ++i) {
    csv += ',';
    if (!row[i]) continue;
    csv += digits(*row[i]);
    jsonl += fmt::format(", \"{}\": {}", columns_[i],
                         std::isfinite(*row[i]) ? digits(*row[i]) : "null");  // JSON has no NaN
  }
  csv += "\n";
  jsonl += "}\n";
  csv_->write(csv.data(), csv.size());
  jsonl_->write(jsonl.data(), jsonl.size());
}

void MetricsLog::sync() {
  csv_->sync();
  jsonl_->sync();
}

const std::vector<double>& Metrics::operator[](std::string_view name) const {
  const auto at = std::find(names.begin(), names.end(), name);
  check(at != names.end(), "the log has no column {}; it has {}", name, fmt::join(names, ", "));
  return columns[static_cast<size_t>(at - names.begin())];
}

Metrics read_metrics(const std::string& csv_path) {
  const std::string csv = read_file(csv_path);
  std::vector<std::string> lines = split(csv, '\n');
  lines.pop_back();  // empty, or not finished
  check(!lines.empty(), "{} is not a log: it has no header", csv_path);
  Metrics metrics;
  metrics.names = split(lines[0], ',');
  metrics.columns.resize(metrics.names.size());
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = split(lines[i], ',');
    check(cells.size() == metrics.names.size(), "{}: line {} has {} columns, the header {}", csv_path, i + 1,
          cells.size(), metrics.names.size());
    for (size_t column = 0; column < cells.size(); ++column) {
      const std::string& cell = cells[column];
      double value = std::numeric_limits<double>::quiet_NaN();
      if (!cell.empty()) {
        const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
        check(error == std::errc{} && end == cell.data() + cell.size(), "{}: line {}: \"{}\" is not a number",
              csv_path, i + 1, cell);
      }
      metrics.columns[column].push_back(value);
    }
  }
  return metrics;
}

Plot loss_curve(const Metrics& metrics, std::string title) {
  const std::vector<double>& tokens = metrics["tokens"];
  Plot plot{.title = std::move(title), .x_label = "tokens", .y_label = "loss (nats per token)", .lines = {}};
  plot.lines.push_back({"batch", tokens, metrics["loss"], true});
  plot.lines.push_back({"training", tokens, metrics["train_loss"]});
  plot.lines.push_back({"validation", tokens, metrics["valid_loss"]});
  return plot;
}

}  // namespace chapbook
