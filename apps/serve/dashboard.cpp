#include "apps/serve/dashboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report/progress.h"
#include "apps/run/run_record.h"
#include "apps/serve/page.h"

namespace chapbook {

namespace {

// The mean of the last numbers of a column; NaN where there is none yet.
double recent(const std::vector<double>& column) {
  double sum = 0;
  int count = 0;
  for (size_t i = column.size(); i-- > 0 && count < 20;)
    if (std::isfinite(column[i])) sum += column[i], ++count;
  return sum / count;
}

// Seconds until the last step, by what the last hundred or so took with all that came between them.
double seconds_left(const RunRecord& run) {
  const std::vector<double>&steps = run.metrics["step"], &seconds = run.metrics["seconds"];
  std::vector<size_t> timed;
  for (size_t i = seconds.size(); i-- > 0 && timed.size() < 100;)
    if (std::isfinite(seconds[i])) timed.push_back(i);
  if (timed.size() < 2) return NAN;
  const size_t first = timed.back(), last = timed.front();
  return (seconds[last] - seconds[first]) / (steps[last] - steps[first]) *
         (static_cast<double>(run.settings.steps) - steps[last]);
}

Json json_of(const RunRecord& run, bool narrow) {
  auto all = facts(run);
  const auto say = [&](const char* name, double x, auto&& words) {
    if (std::isfinite(x)) all.emplace_back(name, words(x));
  };
  say("loss of the last batches", recent(run.metrics["loss"]),
      [](double x) { return fmt::format("{:.4f}", x); });
  say("speed", recent(run.metrics["tokens_per_second"]),
      [](double x) { return short_count(x) + " tokens a second"; });
  if (!run.finished()) say("left", seconds_left(run), duration);
  Json pictures = Json::array(), samples = Json::array();
  for (Plot& plot : curves(run)) {
    plot.width = narrow ? 360 : 560, plot.height = narrow ? 270 : 340;
    pictures.push_back({{"title", plot.title}, {"svg", svg(plot)}});
  }
  constexpr size_t most = 50;  // the newest, which come first
  for (size_t i = run.samples.size(); i-- > 0 && samples.size() < most;)
    samples.push_back({{"step", run.samples[i].step}, {"text", run.samples[i].text}});
  return {{"name", run.name},    {"directory", run.directory},  {"finished", run.finished()},
          {"step", run.steps()}, {"steps", run.settings.steps}, {"facts", all},
          {"curves", pictures},  {"samples", samples}};
}

}  // namespace

Dashboard::Dashboard(const std::string& host, int port, std::vector<std::string> names)
    : site_({.body = 1024, .connections = 32}, std::move(names)) {
  site_.page(dashboard_page());
  site_.Get("/run", [this](const httplib::Request& request, httplib::Response& response) {
    response.set_content(look(request.has_param("narrow")), "application/json");
  });
  port_ = site_.bind(host, port);
  thread_ = std::thread([this] { site_.serve(); });
}

Dashboard::~Dashboard() {
  site_.finish();
  thread_.join();
}

void Dashboard::show(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  directory_ = directory;
  for (View& view : views_) view.until = {};
}

std::string Dashboard::look(bool narrow) {
  const std::lock_guard lock(mutex_);
  View& view = views_[narrow];
  const auto start = Clock::now();
  if (start < view.until) return view.json;
  view.json = to_text(directory_.empty() ? Json::object() : json_of(read_run(directory_), narrow));
  const auto end = Clock::now();
  view.until = end + std::max<Clock::duration>(std::chrono::seconds(1), 100 * (end - start));
  return view.json;
}

}  // namespace chapbook
