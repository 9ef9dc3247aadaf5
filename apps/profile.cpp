// profile: one training step taken apart, on random tokens: which op takes how long, how near to the
// machine's limits it runs, what memory is in use, and what the framework itself costs.
#include <fmt/core.h>

#include <optional>

#include "apps/command.h"
#include "apps/report/machine.h"
#include "apps/report/profile_charts.h"
#include "apps/run/family.h"
#include "apps/run/step_profile.h"
#include "apps/run/workers.h"
#include "apps/settings_options.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace {

struct ProfileOptions {
  std::shared_ptr<SettingsOptions> settings;
  int steps = 5, workers = 1;
  std::string directory = "profile";
};

// All workers of a team make the same steps; worker 0 says what it saw.
void profile(const ProfileOptions& options, Team& team) {
  Settings settings = options.settings->settings();
  settings.shards = std::max<int64_t>(settings.shards, team.size());
  check_settings(settings);
  std::optional<NewDirectory> directory;
  if (team.rank() == 0) directory.emplace(options.directory);
  const Limits limits = measure_limits();
  ProfiledSteps profiled = profile_steps(settings, options.steps, team);
  if (!directory) return;
  StepProfile& step = profiled.step;
  step.limits = limits;

  Json json = {{"machine", machine_json()},
               {"data", "random tokens"},
               {"settings", to_json(settings)},
               {"seconds_of_steps", profiled.seconds},
               {"seconds_of_steps_without_profiler", profiled.plain}};
  json.update(profile_json(step));
  const auto write = [&](const char* name, const std::string& bytes) {
    write_file(options.directory + "/" + name, bytes);
  };
  write("profile.json", json.dump(1) + "\n");
  write("trace.json", trace_json(step).dump() + "\n");
  write("timeline.svg", timeline_svg(step));
  write("roofline.svg", roofline_svg(step));
  write("step.svg", step_svg(step));
  directory->keep();

  fmt::print("{} random tokens a step ({} x {} x {}), {}{} layers, {} wide, vocabulary {}; {}\n",
             settings.batch * settings.context * settings.accumulation, settings.accumulation, settings.batch,
             settings.context, family_unless_usual(settings), settings.layers, settings.width,
             settings.vocabulary, describe_backend(default_backend()));
  fmt::print("the step of median time of {}, after {} to warm up:\n\n{}", options.steps, profile_warmup,
             profile_table(step));
  fmt::print(
      "files    {0}/profile.json, {0}/trace.json (open it in chrome://tracing or ui.perfetto.dev), "
      "{0}/timeline.svg, {0}/roofline.svg, {0}/step.svg\n",
      options.directory);
}

}  // namespace

void add_profile(CLI::App& program) {
  auto options = std::make_shared<ProfileOptions>();
  CLI::App& command =
      *program.add_subcommand("profile", "one training step taken apart: time, work and memory of every op");
  command.add_option("--steps", options->steps, "steps to record, of which the one of median time is shown")
      ->check(whole_number(1, 1000))
      ->capture_default_str();
  command.add_option("--out", options->directory, "directory for the files")
      ->type_name("DIR")
      ->capture_default_str();
  command
      .add_option("--workers", options->workers,
                  "processes that share the step, a power of two, of which the first is shown")
      ->check(whole_number(1, 64))
      ->type_name("N");
  options->settings = add_settings_options(command);
  command.callback([options] {
    in_workers(options->workers, [&](Team& team, const volatile std::sig_atomic_t&) {
      profile(*options, team);
      return true;
    });
  });
}

}  // namespace chapbook
