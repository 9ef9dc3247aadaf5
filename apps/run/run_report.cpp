// report.html: one page that holds all of a run and needs nothing else, no network and no script.
#include <fmt/format.h>

#include "apps/report/memory.h"
#include "apps/report/progress.h"
#include "apps/run/run_record.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace {

constexpr const char* style = R"(<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 800px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
  svg { max-width: 100%; height: auto }
  table { border-collapse: collapse } td, th { text-align: left; padding: 0.15em 1.2em 0.15em 0; vertical-align: top }
  pre { background: #8881; padding: 0.7em; overflow-x: auto; white-space: pre-wrap }
  blockquote { margin: 0.5em 0 1em; padding-left: 1em; border-left: 3px solid #8885; white-space: pre-wrap }
  @media (prefers-color-scheme: dark) { body { color: #ddd; background: #16181d } }
</style>
)";

std::string row(std::string_view name, std::string_view value) {
  return fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escape(name), escape(value));
}

std::string shown(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

Plot curve(const RunRecord& run, const char* title, const char* y, const char* column, bool log_y) {
  return {.title = title,
          .x_label = "tokens",
          .y_label = y,
          .log_y = log_y,
          .lines = {{column, run.metrics["tokens"], run.metrics[column]}}};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> facts(const RunRecord& run) {
  std::vector<std::pair<std::string, std::string>> all = {
      {"state",
       run.finished() ? "finished" : fmt::format("at step {} of {}", run.steps(), run.settings.steps)},
      {"trained", fmt::format("{} tokens in {}", short_count(run.tokens()), duration(run.seconds()))}};
  if (const auto loss = run.best_loss())
    all.emplace_back("validation", fmt::format("loss {:.4f}, the lowest of its evaluations", *loss));
  if (const auto bits = run.bits_per_byte()) all.emplace_back("bits per byte", fmt::format("{:.4f}", *bits));
  if (run.results.contains("parameters"))
    all.emplace_back("parameters", short_count(run.results["parameters"].get<double>()));
  if (const double bytes = run.peak_bytes(); bytes > 0)
    all.emplace_back("memory", bytes_text(bytes) + " of tensors at most");
  if (run.results.contains("communication")) {
    const Json& with_others = run.results["communication"];
    all.emplace_back("workers", fmt::format("{}; each sent {} a step, and waited {:.1f} s for others in all",
                                            with_others["workers"].get<int>(),
                                            bytes_text(with_others["sent_bytes_a_step"].get<double>()),
                                            with_others["waited_seconds"].get<double>()));
  }
  return all;
}

std::vector<Plot> curves(const RunRecord& run) {
  return {loss_curve(run.metrics, "Loss"), curve(run, "Learning rate", "rate", "rate", false),
          curve(run, "Norm of the gradient, before clipping", "norm", "gradient_norm", true),
          curve(run, "Speed", "tokens per second", "tokens_per_second", false)};
}

void write_report(const RunRecord& run) {
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{0}</title>\n{1}<h1>{0}</h1>\n",
      escape(run.name), style);
  page += "<table>\n";
  for (const auto& [name, value] : facts(run)) page += row(name, value);
  page += "</table>\n<h2>Curves</h2>\n";
  for (const Plot& plot : curves(run)) page += svg(plot);

  if (!run.samples.empty()) page += "<h2>What it told on the way</h2>\n";
  for (const Sample& sample : run.samples)
    page += fmt::format("<p>step {}</p>\n<blockquote>{}</blockquote>\n", sample.step, escape(sample.text));

  page += "<h2>Data</h2>\n<table>\n";
  page += row("to train on", run.train_text.empty() ? "not there any more" : run.train_text);
  page += row("for validation", run.valid_text.empty() ? "not there any more" : run.valid_text);
  if (!run.valid_hash.empty()) page += row("hash of the validation text", run.valid_hash);
  if (run.bytes_per_token > 0) page += row("bytes per token", fmt::format("{:.2f}", run.bytes_per_token));
  page += "</table>\n<h2>Settings</h2>\n<table>\n";
  const Json settings = to_json(run.settings);
  for (const auto& [name, value] : settings.items()) page += row(name, shown(value));
  page += "</table>\n";
  const Json& source = run.begun.is_object() ? run.begun : run.results;
  const auto machine = source.is_object() ? source.value("machine", Json()) : Json();
  if (machine.is_object()) {
    page += "<h2>Machine</h2>\n<table>\n";
    for (const auto& [name, value] : machine.items()) page += row(name, shown(value));
    page += "</table>\n";
  }
  const bool built_in = run.train_text == "built-in stories";
  const bool set_aside = run.valid_text == run.train_text;
  page += fmt::format(
      "<h2>The same run again</h2>\n<pre>./chapbook train --config {}/settings.json{}{} --run NEW</pre>\n"
      "<p>On the same machine, backend and build it ends with the same bits.</p>\n</html>\n",
      escape(run.directory), built_in ? "" : " --data " + escape(run.train_text),
      built_in || set_aside || run.valid_text.empty() ? "" : " --valid " + escape(run.valid_text));
  write_file(run.directory + "/report.html", page);
}

}  // namespace chapbook
