#include "apps/report/profile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "apps/report/memory.h"
#include "tensor/json.h"

namespace chapbook {

double StepProfile::in_ops() const {
  double sum = 0;
  for (const Call& call : calls) sum += call.end - call.start;
  return sum;
}

static void add(OpRow& sum, const OpRow& row) {
  sum.calls += row.calls;
  sum.seconds += row.seconds;
  sum.cost.flops += row.cost.flops;
  sum.cost.read += row.cost.read;
  sum.cost.written += row.cost.written;
}

static OpRow row_of(const Call& call) {
  return {call.phase, call.op, call.shapes, 1, call.end - call.start, call.cost};
}

std::vector<OpRow> op_rows(const StepProfile& profile) {
  std::map<std::tuple<Phase, std::string, std::string>, OpRow> groups;
  for (const Call& call : profile.calls) {
    const auto [group, fresh] = groups.try_emplace({call.phase, call.op, call.shapes}, row_of(call));
    if (!fresh) add(group->second, row_of(call));
  }
  std::vector<OpRow> rows;
  for (auto& [key, row] : groups) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const OpRow& a, const OpRow& b) { return a.seconds > b.seconds; });
  return rows;
}

static OpRow total(const StepProfile& profile) {
  OpRow sum{};
  for (const Call& call : profile.calls) add(sum, row_of(call));
  return sum;
}

// What stands below the table.
static std::string summary(const StepProfile& profile, const OpRow& all) {
  const Limits& limits = profile.limits;
  const double least = limits.seconds(all.cost.flops, all.cost.bytes());
  return fmt::format(
             "step     {:.3f} ms, and {:.3f} ms more to write the calls down; without the profiler {:.3f} "
             "ms\n",
             1e3 * profile.seconds(), 1e3 * profile.recording, 1e3 * profile.plain) +
         fmt::format(
             "work     {:.3f} GFLOP and {:.3f} GB: at the machine's limits {:.3f} ms, {:.0f}% of the step\n",
             all.cost.flops / 1e9, all.cost.bytes() / 1e9, 1e3 * least, 100 * least / profile.seconds()) +
         fmt::format("memory   {} before the step, at most {} in it\n",
                     bytes_text(static_cast<double>(profile.live_before)),
                     bytes_text(static_cast<double>(profile.peak))) +
         (profile.workers > 1
              ? fmt::format("workers  {}: each sent {}, with {:.3f} ms of exchanges, of which {:.3f} ms were "
                            "waited for\n",
                            profile.workers, bytes_text(static_cast<double>(profile.sent)),
                            1e3 * profile.exchanging, 1e3 * profile.waited)
              : std::string()) +
         fmt::format(
             "limits   {:.0f} GFLOP/s; read {:.1f}, triad {:.1f}, update {:.1f} GB/s; {} threads, measured "
             "just "
             "now\n",
             limits.flops / 1e9, limits.read / 1e9, limits.triad / 1e9, limits.update / 1e9, limits.threads) +
         "roof     share of the speed these limits allow an op; above 100% it found its bytes in a cache\n";
}

std::string profile_table(const StepProfile& profile) {
  constexpr double least_share = 0.005;
  std::vector<OpRow> rows;
  OpRow rest{}, all{}, between{}, waiting{};
  int small = 0;
  for (const OpRow& row : op_rows(profile)) {
    add(all, row);
    if (row.seconds < least_share * profile.seconds()) {
      add(rest, row);
      ++small;
    } else {
      rows.push_back(row);
    }
  }
  rest.op = fmt::format("{} rows below {}% each", small, 100 * least_share);
  all.op = "all calls";
  between.op = "between calls", between.seconds = profile.between_ops();
  waiting.op = "waiting for others", waiting.seconds = profile.waited;

  size_t op_width = std::max(rest.op.size(), waiting.op.size()), shapes_width = 6;
  for (const OpRow& row : rows) {
    op_width = std::max(op_width, row.op.size());
    shapes_width = std::max(shapes_width, row.shapes.size());
  }
  std::string out =
      fmt::format("{:<9} {:<{}} {:<{}} {:>5} {:>8} {:>6} {:>8} {:>6} {:>7} {:>5}\n", "phase", "op", op_width,
                  "shapes", shapes_width, "calls", "ms", "step", "GFLOP/s", "GB/s", "FLOP/B", "roof");
  const auto line = [&](std::string_view phase, const OpRow& row) {
    out += fmt::format("{:<9} {:<{}} {:<{}} {:>5} {:>8.3f} {:>5.1f}%", phase, row.op, op_width, row.shapes,
                       shapes_width, row.calls, 1e3 * row.seconds, 100 * row.seconds / profile.seconds());
    if (row.cost.bytes() > 0)
      out += fmt::format(" {:>8.1f} {:>6.1f} {:>7.2f} {:>4.0f}%", row.cost.flops / row.seconds / 1e9,
                         row.cost.bytes() / row.seconds / 1e9, row.cost.flops / row.cost.bytes(),
                         100 * row.share_of_roof(profile.limits));
    out += '\n';
  };
  for (const OpRow& row : rows) line(name_of(row.phase), row);
  if (small > 0) line("", rest);
  line("", all);
  line("", between);
  if (profile.workers > 1) line("", waiting);
  return out + '\n' + summary(profile, all);
}

static Json cost_json(const Cost& cost) {
  return {{"flops", cost.flops}, {"bytes_read", cost.read}, {"bytes_written", cost.written}};
}

static Json limits_json(const Limits& limits) {
  return {{"threads", limits.threads},
          {"flops_per_second", limits.flops},
          {"read_bytes_per_second", limits.read},
          {"triad_bytes_per_second", limits.triad},
          {"update_bytes_per_second", limits.update}};
}

Json profile_json(const StepProfile& profile) {
  Json ops = Json::array(), calls = Json::array();
  for (const OpRow& row : op_rows(profile)) {
    Json json = {{"phase", name_of(row.phase)}, {"op", row.op},
                 {"shapes", row.shapes},        {"calls", row.calls},
                 {"seconds", row.seconds},      {"share_of_step", row.seconds / profile.seconds()}};
    json.update(cost_json(row.cost));
    json["share_of_roof"] = row.share_of_roof(profile.limits);
    ops.push_back(std::move(json));
  }
  for (const Call& call : profile.calls) {
    Json json = {{"phase", name_of(call.phase)}, {"op", call.op},   {"shapes", call.shapes},
                 {"start", call.start},          {"end", call.end}, {"live_bytes", call.live}};
    json.update(cost_json(call.cost));
    calls.push_back(std::move(json));
  }
  Json step = {{"seconds", profile.seconds()},
               {"in_ops", profile.in_ops()},
               {"between_ops", profile.between_ops()},
               {"recording", profile.recording},
               {"seconds_without_profiler", profile.plain},
               {"live_bytes_before", profile.live_before},
               {"peak_bytes", profile.peak}};
  step.update(cost_json(total(profile).cost));
  if (profile.workers > 1)
    step.update({{"workers", profile.workers},
                 {"sent_bytes", profile.sent},
                 {"seconds_in_exchanges", profile.exchanging},
                 {"seconds_waited", profile.waited}});
  return {{"limits", limits_json(profile.limits)}, {"step", step}, {"ops", ops}, {"calls", calls}};
}

// One event of Chrome's format; times in microseconds.
static Json event(std::string_view name, std::string_view category, double start, double end, Json args) {
  return {{"name", name},
          {"cat", category},
          {"ph", "X"},
          {"ts", 1e6 * start},
          {"dur", 1e6 * (end - start)},
          {"pid", 1},
          {"tid", 1},
          {"args", std::move(args)}};
}

Json trace_json(const StepProfile& profile) {
  Json events = Json::array();
  const auto memory = [&](double at, size_t live) {
    events.push_back({{"name", "memory"},
                      {"ph", "C"},
                      {"ts", 1e6 * at},
                      {"pid", 1},
                      {"args", {{"live MB", static_cast<double>(live) / 1e6}}}});
  };
  events.push_back(
      {{"name", "process_name"}, {"ph", "M"}, {"pid", 1}, {"args", {{"name", "a training step"}}}});
  memory(0, profile.live_before);
  const std::vector<Call>& calls = profile.calls;
  for (size_t i = 0; i < calls.size();) {  // a phase is a stretch of calls
    size_t last = i;
    while (last + 1 < calls.size() && calls[last + 1].phase == calls[i].phase) ++last;
    events.push_back(
        event(name_of(calls[i].phase), "phase", calls[i].start, calls[last].end, Json::object()));
    for (; i <= last; ++i) {
      Json args = {{"shapes", calls[i].shapes}};
      args.update(cost_json(calls[i].cost));
      events.push_back(
          event(calls[i].op, name_of(calls[i].phase), calls[i].start, calls[i].end, std::move(args)));
      memory(calls[i].end, calls[i].live);
    }
  }
  return {{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}};
}

}  // namespace chapbook
