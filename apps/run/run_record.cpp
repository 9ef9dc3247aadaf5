#include "apps/run/run_record.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "apps/report/events.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

// The JSON of a file; null where there is none.
Json json_of(const std::string& path) {
  std::error_code none;
  if (!fs::exists(path, none)) return nullptr;
  Json json = try_parse_json(read_file(path));
  check(!json.is_discarded(), "{}: is not JSON", path);
  return json;
}

double last_of(const std::vector<double>& column) {
  for (size_t i = column.size(); i-- > 0;)
    if (std::isfinite(column[i])) return column[i];
  return 0;
}

}  // namespace

std::string lines_up_to(const std::string& path, int64_t step) {
  std::error_code none;
  if (!fs::exists(path, none)) return "";
  const std::string log = read_file(path);
  size_t kept = 0;
  for (size_t end; (end = log.find('\n', kept)) != std::string::npos; kept = end + 1) {
    const Json line = try_parse_json(log.substr(kept, end - kept));
    if (!line.is_object() || !line.contains("step") || line["step"] > step) break;
  }
  return log.substr(0, kept);
}

RunRecord read_run(const std::string& directory) {
  RunRecord run;
  run.directory = directory;
  run.name = fs::path(fs::absolute(directory)).lexically_normal().filename().string();
  if (run.name.empty()) run.name = fs::path(directory).parent_path().filename().string();
  check(fs::exists(directory + "/settings.json") && fs::exists(directory + "/metrics.csv"),
        "'{}' is no run: it has no settings.json and metrics.csv", directory);
  read_settings_file(run.settings, directory + "/settings.json");
  run.metrics = read_metrics(directory + "/metrics.csv");
  run.results = json_of(directory + "/results.json");
  run.begun = json_of(directory + "/run.json");
  const std::string samples = lines_up_to(directory + "/samples.jsonl", INT64_MAX);
  for (size_t at = 0, end; (end = samples.find('\n', at)) != std::string::npos; at = end + 1) {
    const Json line = parse_json(samples.substr(at, end - at));
    run.samples.push_back({line.value("step", int64_t{0}), line.value("text", "")});
  }
  const Json trainer = json_of(whole_directory(directory + "/last") + "/trainer.json");
  const std::string data =
      (fs::path(directory) / (trainer.is_object() ? trainer.value("data", "data") : "data")).string();
  if (const Json train = json_of(data + "/train.json"); train.is_object())
    run.train_text = train.value("text", "");
  if (const Json valid = json_of(data + "/valid.json"); valid.is_object()) {
    run.valid_text = valid.value("text", "");
    const double tokens = valid.value("tokens", 0.0), bytes = valid.value("text_bytes", 0.0);
    if (tokens > 0) run.bytes_per_token = bytes / tokens;
  }
  if (const Json text = json_of(data + "/text.json"); text.is_object())
    run.valid_hash = text["valid"].value("hash", "");
  return run;
}

std::vector<RunRecord> read_runs(const std::string& root) {
  std::error_code error;
  check(fs::is_directory(root, error), "there is no directory '{}' with runs", root);
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(root))
    if (fs::exists(entry.path() / "settings.json") && fs::exists(entry.path() / "metrics.csv"))
      paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  std::vector<RunRecord> runs;
  for (const std::string& path : paths) runs.push_back(read_run(path));
  return runs;
}

int64_t RunRecord::steps() const { return static_cast<int64_t>(last_of(metrics["step"])); }
double RunRecord::tokens() const { return last_of(metrics["tokens"]); }
double RunRecord::seconds() const { return last_of(metrics["seconds"]); }
double RunRecord::peak_bytes() const {
  return results.contains("peak_bytes") ? results["peak_bytes"].get<double>()
                                        : last_of(metrics["peak_bytes"]);
}

std::optional<double> RunRecord::best_loss() const {
  std::optional<double> best;
  for (const double loss : metrics["valid_loss"])
    if (std::isfinite(loss) && (!best || loss < *best)) best = loss;
  return best;
}

std::optional<double> RunRecord::bits_per_byte() const {
  if (finished() && results.contains("valid_bits_per_byte"))
    return results["valid_bits_per_byte"].get<double>();
  const auto loss = best_loss();
  if (!loss || bytes_per_token == 0) return {};
  return *loss / bytes_per_token / std::numbers::ln2;
}

std::optional<double> RunRecord::bits_per_byte_by(double limit) const {
  std::optional<double> best;
  double now = 0;  // an evaluation's line has no time of its own; it stands behind its step's
  for (size_t i = 0; i < metrics["step"].size(); ++i) {
    if (std::isfinite(metrics["seconds"][i])) now = metrics["seconds"][i];
    const double loss = metrics["valid_loss"][i];
    if (now <= limit && std::isfinite(loss) && (!best || loss < *best)) best = loss;
  }
  if (!best || bytes_per_token == 0) return {};
  return *best / bytes_per_token / std::numbers::ln2;
}

void write_events(const RunRecord& run) {
  const double start = run.begun.is_object() ? run.begun.value("started", 0.0) : 0;
  std::string bytes = first_event(start);
  double now = 0;
  const auto& names = run.metrics.names;
  for (size_t row = 0; row < run.metrics["step"].size(); ++row) {
    if (std::isfinite(run.metrics["seconds"][row])) now = run.metrics["seconds"][row];
    std::vector<std::pair<std::string, double>> values;
    for (size_t i = 1; i < names.size(); ++i)
      if (std::isfinite(run.metrics.columns[i][row]))
        values.emplace_back(names[i], run.metrics.columns[i][row]);
    bytes += scalar_event(start + now, static_cast<int64_t>(run.metrics["step"][row]), values);
  }
  write_file(fmt::format("{}/events.out.tfevents.{:.0f}.chapbook", run.directory, start), bytes);
}

}  // namespace chapbook
