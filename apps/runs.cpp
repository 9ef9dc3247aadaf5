// runs, compare, board, report: what is read from the directories of runs (apps/run/run_record.h).
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "apps/command.h"
#include "apps/report/progress.h"
#include "apps/run/run_record.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace {

std::string or_dash(const std::optional<double>& number) {
  return number ? fmt::format("{:.4f}", *number) : "-";
}

// Rows of cells, each column as wide as its widest cell.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

// Numbers that are not there come last, whatever the order.
double key(const RunRecord& run, const std::string& by) {
  if (by == "bits") return run.bits_per_byte().value_or(std::numeric_limits<double>::infinity());
  if (by == "loss") return run.best_loss().value_or(std::numeric_limits<double>::infinity());
  if (by == "minutes") return -run.seconds();
  return -run.tokens();
}

void list_runs(const std::string& root, const std::string& by) {
  std::vector<RunRecord> runs = read_runs(root);
  if (by != "name")
    std::stable_sort(runs.begin(), runs.end(),
                     [&](const auto& a, const auto& b) { return key(a, by) < key(b, by); });
  std::vector<std::vector<std::string>> rows = {
      {"run", "state", "tokens", "time", "valid loss", "bits/byte", "text"}};
  for (const RunRecord& run : runs)
    rows.push_back({run.name,
                    run.finished() ? "finished" : fmt::format("{} of {}", run.steps(), run.settings.steps),
                    short_count(run.tokens()), duration(run.seconds()), or_dash(run.best_loss()),
                    or_dash(run.bits_per_byte()), run.train_text});
  print_table(rows);
}

void compare(const std::vector<std::string>& directories, const std::string& out) {
  std::vector<RunRecord> runs;
  for (const std::string& directory : directories) runs.push_back(read_run(directory));
  Plot plot{.title = "Validation loss", .x_label = "tokens", .y_label = "loss (nats per token)", .lines = {}};
  for (const RunRecord& run : runs)
    plot.lines.push_back({run.name, run.metrics["tokens"], run.metrics["valid_loss"]});
  write_file(out, svg(plot));

  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const std::string& name, const std::function<std::string(const RunRecord&)>& value) {
    rows.push_back({name});
    for (const RunRecord& run : runs) rows.back().push_back(value(run));
  };
  add("", [](const RunRecord& run) { return run.name; });
  add("tokens", [](const RunRecord& run) { return short_count(run.tokens()); });
  add("time", [](const RunRecord& run) { return duration(run.seconds()); });
  add("valid loss", [](const RunRecord& run) { return or_dash(run.best_loss()); });
  add("bits/byte", [](const RunRecord& run) { return or_dash(run.bits_per_byte()); });
  add("text", [](const RunRecord& run) { return run.train_text; });
  // Of the settings only those in which the runs differ.
  const Json settings = to_json(runs[0].settings);
  for (const auto& [name, value] : settings.items()) {
    const auto of = [&name = name](const RunRecord& run) { return to_json(run.settings)[name].dump(); };
    if (std::any_of(runs.begin(), runs.end(), [&](const RunRecord& run) { return of(run) != of(runs[0]); }))
      add(name, of);
  }
  print_table(rows);
  fmt::print("{}\n", out);
  for (const RunRecord& run : runs)
    if (run.valid_hash != runs[0].valid_hash || run.settings.vocabulary != runs[0].settings.vocabulary) {
      fmt::print(
          "{} has another validation text or vocabulary than {}: only bits per byte may be compared, and "
          "only on one text\n",
          run.name, runs[0].name);
      break;
    }
}

void board(const std::string& root, double minutes) {
  // By validation text: results on different ones cannot be ranked.
  std::map<std::string, std::vector<RunRecord>> texts;
  for (RunRecord& run : read_runs(root))
    if (run.bits_per_byte_by(std::numeric_limits<double>::infinity()))
      texts[run.valid_text + " " + run.valid_hash].push_back(std::move(run));
  check(!texts.empty(), "no run in '{}' has been evaluated yet, with its data still there", root);
  for (auto& [text, runs] : texts) {
    double limit = 60 * minutes;  // seconds; without one, those of the shortest run
    if (minutes == 0) {
      limit = std::numeric_limits<double>::infinity();
      for (const RunRecord& run : runs) limit = std::min(limit, run.seconds());
    }
    const auto bits = [&](const RunRecord& run) {
      return run.bits_per_byte_by(limit).value_or(std::numeric_limits<double>::infinity());
    };
    std::stable_sort(runs.begin(), runs.end(),
                     [&](const auto& a, const auto& b) { return bits(a) < bits(b); });
    fmt::print("{}, after {}\n", text, duration(limit));
    std::vector<std::vector<std::string>> rows = {{"", "run", "bits/byte", "of its evaluations' batches"}};
    for (size_t i = 0; i < runs.size(); ++i)
      rows.push_back({std::to_string(i + 1), runs[i].name, or_dash(runs[i].bits_per_byte_by(limit)),
                      fmt::format("{} of {}", runs[i].settings.eval_batches, runs[i].settings.batch)});
    print_table(rows);
  }
}

}  // namespace

void add_runs(CLI::App& program) {
  struct Arguments {
    std::string root = "runs", by = "name", out = "compare.svg", run;
    std::vector<std::string> runs;
    double minutes = 0;
  };
  auto arguments = std::make_shared<Arguments>();
  const auto add_root = [&](CLI::App& command) {
    command.add_option("--in", arguments->root, "directory of the runs")
        ->type_name("DIR")
        ->capture_default_str();
  };

  CLI::App& list = *program.add_subcommand("runs", "list the runs there are");
  add_root(list);
  list.add_option("--sort", arguments->by, "name, bits, loss, tokens or minutes")
      ->check(CLI::IsMember({"name", "bits", "loss", "tokens", "minutes"}))
      ->capture_default_str();
  list.footer("Example:\n  ./chapbook runs --sort bits");
  list.callback([arguments] { list_runs(arguments->root, arguments->by); });

  CLI::App& both =
      *program.add_subcommand("compare", "runs side by side: a table, and their curves in one picture");
  both.add_option("RUN", arguments->runs, "directories of two runs or more")->required()->expected(2, 100);
  both.add_option("--out", arguments->out, "the picture")->type_name("FILE")->capture_default_str();
  both.footer("Example:\n  ./chapbook compare runs/tiny runs/tiny-2");
  both.callback([arguments] { compare(arguments->runs, arguments->out); });

  CLI::App& ranking = *program.add_subcommand("board", "rank your runs by bits per byte after equal minutes");
  add_root(ranking);
  ranking.add_option("--minutes", arguments->minutes, "of training; without it, those of the shortest run")
      ->check(CLI::PositiveNumber)
      ->type_name("MINUTES");
  ranking.footer("Example:\n  ./chapbook board --minutes 20");
  ranking.callback([arguments] { board(arguments->root, arguments->minutes); });

  CLI::App& page =
      *program.add_subcommand("report", "a run on one page, report.html, and its log for TensorBoard");
  page.add_option("RUN", arguments->run, "directory of the run")->required();
  page.footer("Example:\n  ./chapbook report runs/tiny");
  page.callback([arguments] {
    const RunRecord run = read_run(arguments->run);
    write_report(run);
    write_events(run);
    fmt::print("{}/report.html\n", run.directory);
  });
}

}  // namespace chapbook
