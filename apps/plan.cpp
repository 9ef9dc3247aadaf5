// plan: what a training run will cost, before anything runs. Counts are exact; the time is measured on a few
// real steps.
#include <algorithm>
#include <bit>

#include "apps/command.h"
#include "apps/report/memory.h"
#include "apps/report/progress.h"
#include "apps/run/family.h"
#include "apps/run/plan.h"
#include "apps/run/workers.h"
#include "apps/settings_options.h"
#include "team/link.h"
#include "team/sum.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

template <class... Args>
void say(std::string_view what, fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{:<12}{}\n", what, fmt::format(format, std::forward<Args>(args)...));
}

// 1234567 -> "1,234,567"
std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

// "6.75 MFLOP"
std::string work_text(double operations) {
  std::string text = short_count(operations);
  const bool has_unit = text.back() >= 'A';
  return text.insert(text.size() - has_unit, " ") + "FLOP";
}

struct PlanOptions {
  std::shared_ptr<SettingsOptions> settings;
  bool counts_only = false;
  int workers = 1;
  double link = 0;  // Gbit/s between machines; 0: what there is, measured
};

// The link between the workers as it is, or as told: then with the latency that TCP has on a local network.
Link link_of(double gigabits, Team& team) {
  constexpr double latency = 50e-6;
  return gigabits > 0 ? Link{latency, gigabits * 1e9 / 8} : measure_link(team);
}

// How a step goes with several workers, each of which is as fast as this one.
void plan_of_workers(const Settings& settings, const ModelCosts& model, int workers, double speed,
                     const Link& link) {
  const double tokens = static_cast<double>(settings.batch * settings.context * settings.accumulation);
  const StepSeconds step = step_of_workers(settings, model, workers, speed, link);
  say("link", "{:.3g} Gbit/s both ways, {:.3g} us for an exchange", link.bytes_per_second * 8 / 1e9,
      link.latency * 1e6);
  say("sent", "{} a step by each worker: 2 (N - 1) / N of the gradients' bytes",
      bytes_text(static_cast<double>(all_reduce_bytes(model.parameters, workers))));
  say("a step",
      "about {:.3g} s: computing {:.3g}, sums {:.3g} of which {:.3g} behind the backward pass, weights "
      "{:.3g}",
      step.all(), step.computing, step.sums, step.hidden, step.gathering);
  say("speed", "{} tokens/s, {:.2f} times what one of the workers does alone",
      short_count(tokens / step.all()), tokens / speed / step.all());
}

// Of the team, which measures together, worker 0 speaks.
void plan(Settings settings, const PlanOptions& options, Team& team) {
  const bool measure = !options.counts_only, speaks = team.rank() == 0;
  const int workers = std::max(options.workers, team.size());
  settings.shards = std::max<int64_t>(settings.shards, workers);
  check_settings(settings);
  const auto row = [&]<class... Args>(std::string_view what, fmt::format_string<Args...> format,
                                      Args&&... args) {
    if (speaks) say(what, format, std::forward<Args>(args)...);
  };
  const ModelCosts model = model_costs(settings);
  const int64_t parameters = model.parameters, embeddings = model.embeddings;
  const Memory memory = memory_of_worker(settings, model, workers);
  const int64_t step_tokens = settings.batch * settings.context * settings.accumulation;
  const double token_work = model.flops_per_token;

  row("model", "{}{} layers, {} heads, {} wide, context {}, vocabulary {}", family_unless_usual(settings),
      settings.layers, settings.heads, settings.width, settings.context, grouped(settings.vocabulary));
  row("parameters", "{}: embeddings {} ({} the output head), blocks {}", grouped(parameters),
      grouped(embeddings), settings.tied ? "also" : "with", grouped(parameters - embeddings));
  row("memory", "{} {}: weights {}, gradients {}, {}{} {}, activations of a batch {} in {}",
      workers > 1 ? "of each worker about" : "about", bytes_text(memory.all()), bytes_text(memory.weights),
      bytes_text(memory.gradients),
      memory.sums > 0 ? fmt::format("sums of shards {}, ", bytes_text(memory.sums)) : "", settings.optimizer,
      bytes_text(memory.optimizer), bytes_text(memory.activations), settings.precision);
  row("work",
      "{} a token, forward and backward: 6 for each weight of a product, and attention's 7 C (T + 1) a "
      "layer",
      work_text(token_work));
  row("a step", "{} x {} sequences of {} tokens: {} tokens, {}", settings.accumulation, settings.batch,
      settings.context, grouped(step_tokens), work_text(token_work * static_cast<double>(step_tokens)));
  const bool timed = settings.minutes > 0;
  const double run_tokens = static_cast<double>(settings.steps) * static_cast<double>(step_tokens);
  if (!timed)
    row("the run", "{} steps: {} tokens, {}", grouped(settings.steps), short_count(run_tokens),
        work_text(token_work * run_tokens));

  if (!measure) return;
  const double free = memory_available() / (options.link > 0 ? 1 : team.size());
  if (free > 0 && memory.all() > free) {
    row("time", "not measured: the run needs {} of memory, and {} are free", bytes_text(memory.all()),
        bytes_text(free));
    return;
  }
  // Workers that share a machine measure at once, as they would train.
  const double speed = std::ranges::min(gather(team, measured_tokens_per_second(settings)));
  if (workers > 1) {
    const Link link = link_of(options.link, team);
    if (speaks) plan_of_workers(settings, model, workers, speed, link);
    return;
  }
  const std::string measured =
      fmt::format("an estimate without evaluations: {} tokens/s, {}/s, measured on a few steps",
                  short_count(speed), work_text(speed * token_work));
  if (timed)
    row("time", "{}, about {} tokens ({})", duration(60 * settings.minutes),
        short_count(60 * settings.minutes * speed), measured);
  else
    row("time", "about {} ({})", duration(run_tokens / speed), measured);
}

}  // namespace

void add_plan(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("plan", "what a training run costs: parameters, memory, work, time");
  auto options = std::make_shared<PlanOptions>();
  options->settings = add_settings_options(*command);
  CLI::Option* counts_only = command->add_flag("--counts-only", options->counts_only, "measure nothing");
  CLI::Option* workers =
      command
          ->add_option("--workers", options->workers,
                       "a run by so many workers, a power of two: processes of this machine, started and "
                       "measured together; or, with --link, machines as this one")
          ->check(whole_number(1, 1024))
          ->type_name("N");
  command
      ->add_option("--link", options->link,
                   "machines that are joined by so many Gbit/s; those that there are, mpirun starts and this "
                   "measures")
      ->check(CLI::PositiveNumber)
      ->type_name("GBIT")
      ->needs(workers)
      ->excludes(counts_only);
  command->callback([options] {
    const Settings settings = options->settings->settings();
    check(std::has_single_bit(static_cast<unsigned>(options->workers)),
          "{} workers: their number is a power of two", options->workers);
    check(options->link == 0 || options->workers > 1, "--link joins machines, and --workers 1 is one alone");
    const bool imagined = options->link > 0 || options->counts_only;
    in_workers(imagined ? 1 : options->workers, [&](Team& team, const volatile std::sig_atomic_t&) {
      plan(settings, *options, team);
      return true;
    });
  });
}

}  // namespace chapbook
