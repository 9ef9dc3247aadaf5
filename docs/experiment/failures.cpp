// The gallery of failures: a small run in good health with three seeds, and once with each mistake that
// `train --break` knows; what their curves show, and what `train --check` says of them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/run/faults.h"
#include "apps/run/metrics.h"
#include "docs/tool/results.h"
#include "docs/tool/shell.h"

using namespace chapbook;
namespace fs = std::filesystem;

static constexpr const char* settings =
    "--stories 800 --set layers=2 --set heads=2 --set width=32 --set context=32 --set vocabulary=300 "
    "--set steps=200 --set warmup=20 --set rate=0.005 --set eval_every=20 --set eval_batches=5 "
    "--set sample_every=0";
static constexpr int seeds = 3, together = 10;  // steps whose mean is a point of a curve

struct Run {
  Line train, valid;
  double train_loss = NAN, valid_loss = NAN;  // at the end; NaN where it broke off
  int code = 0;
};

static std::string program() {
  return (fs::canonical("/proc/self/exe").parent_path().parent_path() / "chapbook").string();
}

static Run run(const std::string& more) {
  const fs::path directory = fs::temp_directory_path() / "chapbook-failures";
  fs::remove_all(directory);
  Run result;
  result.code =
      run_shell(fmt::format("{} train {} {} --run {}", program(), settings, more, directory.string())).code;
  const Metrics metrics = read_metrics(directory / "metrics.csv");
  double sum = 0;
  int count = 0;
  for (size_t i = 0; i < metrics["step"].size(); ++i) {
    const double step = metrics["step"][i], loss = metrics["loss"][i], valid = metrics["valid_loss"][i];
    if (!std::isnan(valid)) result.valid.x.push_back(step), result.valid.y.push_back(valid);
    if (std::isnan(loss)) continue;
    sum += loss;
    if (++count % together) continue;
    result.train.x.push_back(count - (together - 1) / 2.0);
    result.train.y.push_back(sum / together);
    sum = 0;
  }
  if (result.code == 0) result.train_loss = result.train.y.back(), result.valid_loss = result.valid.y.back();
  fmt::print("{:<32} ends with {}, loss {:.3f}, valid {:.3f}\n", more, result.code, result.train_loss,
             result.valid_loss);
  std::fflush(stdout);
  return result;
}

// What `train --check` calls wrong: the words it begins its lines with, or "nothing".
static std::string check_says(const std::string& more) {
  const Ran ran = run_shell(fmt::format("{} train --check {} {}", program(), settings, more));
  std::string all;
  for (size_t at = 0; (at = ran.output.find("WRONG ", at)) != std::string::npos; ++at) {
    const size_t begin = ran.output.find_first_not_of(' ', at + 6), end = ran.output.find("  ", begin);
    all += (all.empty() ? "" : ", ") + ran.output.substr(begin, end - begin);
  }
  return all.empty() ? "nothing" : all;
}

// From the lowest to the highest of several lines.
static Line band(const std::string& name, const std::vector<Line>& lines) {
  Line result{name, lines[0].x, lines[0].y, false, lines[0].y};
  for (const Line& line : lines)
    for (size_t i = 0; i < line.y.size(); ++i) {
      result.y[i] = std::max(result.y[i], line.y[i]);
      result.low[i] = std::min(result.low[i], line.y[i]);
    }
  return result;
}

int main() {
  Results results("failures", {"apps/run/faults.cpp", "apps/run/trainer.cpp", "apps/run/trial.cpp",
                               "nn/gpt.cpp", "nn/language_model.cpp", "data/stories.cpp"});
  results.configuration = {{"command", fmt::format("./chapbook train {} --break NAME", settings)},
                           {"seeds", seeds}};
  std::vector<Line> train, valid;
  Json& sound = results.values["sound"];
  double low[2] = {INFINITY, INFINITY}, high[2] = {0, 0};
  for (int seed = 1; seed <= seeds; ++seed) {
    const Run one = run(fmt::format("--set seed={}", seed));
    train.push_back(one.train), valid.push_back(one.valid);
    const double losses[2] = {one.train_loss, one.valid_loss};
    for (int i = 0; i < 2; ++i) low[i] = std::min(low[i], losses[i]), high[i] = std::max(high[i], losses[i]);
  }
  sound = {{"train", {{"low", low[0]}, {"high", high[0]}}},
           {"valid", {{"low", low[1]}, {"high", high[1]}}},
           {"check", check_says("")}};

  struct Group {
    const char *figure, *title;
    std::vector<std::string> names;
    bool of_valid, log_y;
    Plot plot = {};
  };
  std::vector<Group> groups = {
      {"failures-mask",
       "Seeing what is to come: training",
       {"no_mask", "mask_off_by_one", "not_shifted"},
       false,
       true},
      {"failures-layers", "Layers: training", {"no_scale", "no_norm", "no_gelu", "overwrites"}, false, false},
      {"failures-optimizer",
       "The optimizer: training",
       {"not_cleared", "wrong_sign", "no_update", "no_bias_correction", "tied_twice", "rate_ten_times"},
       false,
       true},
      {"failures-data",
       "Data: validation",
       {"no_mask", "mask_off_by_one", "not_shifted", "two_ahead", "other_tokenizer"},
       true,
       true}};
  for (Group& group : groups)
    group.plot = {group.title, "step",      "loss (nats per token)",
                  false,       group.log_y, {band("sound, three seeds", group.of_valid ? valid : train)}};
  for (const Fault& fault : faults()) {
    const std::string name = fault.name, broken = "--break " + name;
    Run one = run(broken);
    Json& here = results.values[name];
    here = {{"train", one.train_loss},
            {"valid", one.valid_loss},
            {"code", one.code},
            {"check", check_says(broken)}};
    here["half"] = one.train.y.size() > 10 ? one.train.y[9] : NAN;
    one.train.name = one.valid.name = name;
    for (Group& group : groups)
      if (std::find(group.names.begin(), group.names.end(), name) != group.names.end())
        group.plot.lines.push_back(group.of_valid ? one.valid : one.train);
  }
  for (const Group& group : groups) results.figure(group.figure, group.plot);
  results.write();
}
