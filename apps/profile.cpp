// profile: one training step taken apart, on random tokens: which op takes how long, how near to the
// machine's limits it runs, what memory is in use, and what the framework itself costs.
#include <fmt/core.h>

#include <optional>

#include "apps/command.h"
#include "apps/report/machine.h"
#include "apps/report/profile_charts.h"
#include "apps/run/family.h"
#include "apps/run/trainer.h"
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

constexpr int warmup = 2;  // the first steps take their memory from the system

struct Training {
  std::unique_ptr<LanguageModel> model;
  Trainer trainer;
  Training(const Settings& settings, std::span<const uint16_t> tokens, Backend& backend, Team& team)
      : model(make_model(settings, backend)), trainer(settings, *model, tokens, team) {
    Random random{static_cast<uint64_t>(settings.seed)};
    model->initialise(random);
    for (int i = 0; i < warmup; ++i) trainer.step();
  }
};

double median(std::vector<double> numbers) {
  std::nth_element(numbers.begin(), numbers.begin() + numbers.size() / 2, numbers.end());
  return numbers[numbers.size() / 2];
}

// Seconds of steps without a profiler.
std::vector<double> plain_steps(const Settings& settings, std::span<const uint16_t> tokens, int steps,
                                Team& team) {
  std::vector<double> seconds;
  {
    Training training(settings, tokens, default_backend(), team);
    for (int i = 0; i < steps; ++i) {
      const auto start = std::chrono::steady_clock::now();
      training.trainer.step();
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  default_backend().blocks().trim();
  return seconds;
}

std::vector<StepProfile> profiled_steps(const Settings& settings, std::span<const uint16_t> tokens, int steps,
                                        Team& team) {
  ProfileBackend backend(default_backend());
  Training training(settings, tokens, backend, team);
  std::vector<StepProfile> profiles;
  for (int i = 0; i < steps; ++i) {
    backend.take_calls();
    backend.blocks().reset_peak();
    StepProfile profile;
    profile.live_before = backend.blocks().live_bytes();
    const Communication had = training.trainer.communication();
    const double start = backend.now();
    training.trainer.step();
    profile.whole = backend.now() - start;
    const Communication has = training.trainer.communication();
    profile.workers = team.size(), profile.sent = has.bytes_sent - had.bytes_sent;
    profile.exchanging = has.seconds - had.seconds, profile.waited = has.waited - had.waited;
    ProfileBackend::Calls taken = backend.take_calls();
    for (Call& call : taken.calls) call.start -= start, call.end -= start;
    profile.calls = std::move(taken.calls);
    profile.recording = taken.recording;
    profile.peak = backend.blocks().peak_bytes();
    profiles.push_back(std::move(profile));
  }
  return profiles;
}

// All workers of a team make the same steps; worker 0 says what it saw.
void profile(const ProfileOptions& options, Team& team) {
  Settings settings = options.settings->settings();
  settings.shards = std::max<int64_t>(settings.shards, team.size());
  check_settings(settings);
  std::optional<NewDirectory> directory;
  if (team.rank() == 0) directory.emplace(options.directory);
  const Limits limits = measure_limits();
  const std::vector<uint16_t> tokens = random_tokens(settings);
  const std::vector<double> plain = plain_steps(settings, tokens, options.steps, team);
  std::vector<StepProfile> steps = profiled_steps(settings, tokens, options.steps, team);
  if (!directory) return;
  // One step stands for all, so that its parts add up: the one of median time.
  std::vector<double> seconds;
  for (const StepProfile& step : steps) seconds.push_back(step.seconds());
  const double middle = median(seconds);
  StepProfile& step =
      *std::find_if(steps.begin(), steps.end(), [&](const auto& each) { return each.seconds() == middle; });
  step.limits = limits;
  step.plain = median(plain);

  Json json = {{"machine", machine_json()},
               {"data", "random tokens"},
               {"settings", to_json(settings)},
               {"seconds_of_steps", seconds},
               {"seconds_of_steps_without_profiler", plain}};
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
             settings.context, settings.family == "gpt2" ? "" : settings.family + ", ", settings.layers,
             settings.width, settings.vocabulary, describe_backend(default_backend()));
  fmt::print("the step of median time of {}, after {} to warm up:\n\n{}", options.steps, warmup,
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
