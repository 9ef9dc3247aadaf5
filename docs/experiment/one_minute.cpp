// Chapter 0: the one-minute run three times, with three seeds, and once with a learning rate that is far too
// high. What a reader's run should look like.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/run/metrics.h"
#include "docs/tool/results.h"
#include "docs/tool/shell.h"
#include "tensor/check.h"

using namespace chapbook;
namespace fs = std::filesystem;

static constexpr const char* one_minute = "train --set steps=400 --set eval_every=100";
static constexpr int seeds = 3;
static constexpr int together = 10;  // steps whose mean is one point of a curve

struct Run {
  Line line;
  Json results;
  std::string story;  // that it tells at the end
};

static Run run(const std::string& more) {
  const fs::path program = fs::canonical("/proc/self/exe").parent_path().parent_path() / "chapbook";
  const fs::path directory = fs::temp_directory_path() / "chapbook-one-minute";
  fs::remove_all(directory);
  const Ran ran =
      run_shell(fmt::format("{} {} {} --run {}", program.string(), one_minute, more, directory.string()));
  check(ran.code == 0, "{} {} ends with {}:\n{}", one_minute, more, ran.code, ran.output);
  const Metrics metrics = read_metrics(directory / "metrics.csv");
  Run result{{more, {}, {}}, read_json(directory / "results.json"), ""};
  double sum = 0;
  int count = 0;
  for (size_t i = 0; i < metrics["loss"].size(); ++i) {
    if (std::isnan(metrics["loss"][i])) continue;  // the line of an evaluation
    sum += metrics["loss"][i];
    if (++count % together) continue;
    result.line.x.push_back(count - (together - 1) / 2.0);
    result.line.y.push_back(std::round(1e4 * sum / together) / 1e4);
    sum = 0;
  }
  constexpr std::string_view before = "A story by this model:\n\n", after = "\n\nMore:";
  const size_t begin = ran.output.find(before) + before.size();
  result.story = ran.output.substr(begin, ran.output.find(after) - begin);
  fmt::print("{:<20} loss {:.3f}, valid {:.3f}\n", more, result.line.y.back(),
             result.results["valid_loss"].get<double>());
  return result;
}

int main() {
  Results results("one_minute",
                  {"nn/gpt.cpp", "nn/language_model.cpp", "apps/run/settings_table.inc", "data/stories.cpp"});
  results.configuration = {{"command", fmt::format("./chapbook {}", one_minute)}, {"seeds", seeds}};
  std::vector<Run> runs;
  for (int seed = 1; seed <= seeds; ++seed) runs.push_back(run(fmt::format("--set seed={}", seed)));
  const Run broken = run("--set rate=0.1");

  Line band{"three seeds, from the lowest to the highest", runs[0].line.x, runs[0].line.y, false,
            runs[0].line.y};
  std::vector<double> valid;
  for (const Run& one : runs) {
    for (size_t i = 0; i < band.y.size(); ++i) {
      band.y[i] = std::max(band.y[i], one.line.y[i]);
      band.low[i] = std::min(band.low[i], one.line.y[i]);
    }
    valid.push_back(one.results["valid_loss"]);
  }
  // No line for a seed of its own: it would cover the band, which is a few hundredths of the axis wide.
  Line high = broken.line;
  high.name = "learning rate 0.1 instead of 0.001";
  results.figure("one-minute", {.title = "Loss of the one-minute run",
                                .x_label = "step",
                                .y_label = "loss of a batch, nats per token",
                                .log_y = true,
                                .lines = {band, high}});
  const auto& one = runs[0].results;
  results.values = {{"valid_loss",
                     {{"low", *std::min_element(valid.begin(), valid.end())},
                      {"high", *std::max_element(valid.begin(), valid.end())},
                      {"seed_1", valid[0]},
                      {"broken", broken.results["valid_loss"]}}},
                    {"bits_per_byte", one["valid_bits_per_byte"]},
                    {"perplexity", one["valid_perplexity"]},
                    {"first_loss", runs[0].line.y.front()},
                    {"parameters", one["parameters"]},
                    {"tokens", one["tokens"]},
                    {"train_tokens", one["data"]["train_tokens"]},
                    {"peak_bytes", one["peak_bytes"]},
                    {"story", runs[0].story}};
  results.write();
}
