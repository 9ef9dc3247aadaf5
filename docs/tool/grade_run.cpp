// Exercises that ask for a run: its results.json and metrics.csv are compared with what is wanted.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/run/metrics.h"
#include "docs/tool/grade.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;

// A number of results.json; or of the log: first_loss, and loss_change, the last step's loss less the
// first's.
static double value_of(const std::string& name, const fs::path& run) {
  if (name == "first_loss" || name == "loss_change") {
    std::vector<double> losses = read_metrics(run / "metrics.csv")["loss"];
    std::erase_if(losses, [](double loss) { return std::isnan(loss); });  // evaluations have none
    check(!losses.empty(), "{}/metrics.csv has no loss of any step", shown(run));
    return name == "first_loss" ? losses.front() : losses.back() - losses.front();
  }
  const auto results = nlohmann::json::parse(read_file(run / "results.json"));
  check(results.contains(name) && results[name].is_number(), "{}/results.json has no number {}", shown(run),
        name);
  return results[name];
}

static std::string wanted_text(const Range& range) {
  if (range.low == range.high) return fmt::format("{}", range.low);
  if (std::isinf(range.high)) return fmt::format("at least {}", range.low);
  if (std::isinf(range.low)) return fmt::format("at most {}", range.high);
  return fmt::format("between {} and {}", range.low, range.high);
}

Verdict grade_run(const Exercise& exercise, const fs::path& run) {
  if (!fs::exists(run / "results.json"))
    return {false, fmt::format("There is no finished run in {}.", shown(run))};
  std::string reached;
  for (const auto& [name, range] : exercise.wants) {
    const double value = value_of(name, run);
    if (!(value >= range.low && value <= range.high))
      return {false, fmt::format(
                         "{} is {:.6g}; wanted is {}.\nFor another try: ./chapbook exercise start {} --again",
                         name, value, wanted_text(range), exercise.number)};
    reached += fmt::format("{}{} is {:.6g}", reached.empty() ? "" : ", ", name, value);
  }
  return {true, reached + "."};
}

}  // namespace chapbook
