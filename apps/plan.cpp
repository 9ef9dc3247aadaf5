// plan: what a training run will cost, before anything runs. Counts are exact; the time is measured on a few
// real steps.
#include <chrono>

#include "apps/command.h"
#include "apps/report/memory.h"
#include "apps/report/progress.h"
#include "apps/run/family.h"
#include "apps/run/trainer.h"
#include "apps/settings_options.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

template <class... Args>
void row(std::string_view what, fmt::format_string<Args...> format, Args&&... args) {
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

// Tokens trained on in a second: forward and backward passes of this very model on random tokens, of as many
// sequences as make about a second of work, at most a whole batch. The optimiser's work, once a step, is not
// in it.
double measured_tokens_per_second(const Settings& settings) {
  constexpr double some_work = 2e10;  // multiplications and additions: less than a second on two cores
  const double sequence_work = model_costs(settings).flops_per_token * static_cast<double>(settings.context);
  const int64_t batch =
      std::clamp<int64_t>(static_cast<int64_t>(some_work / sequence_work), 1, settings.batch);
  const std::unique_ptr<LanguageModel> model = make_model(settings);
  Random random{.seed = 1};
  model->initialise(random);
  model->train_with(nullptr, settings.recompute);
  model->compute_in(checked_precision(settings, model->backend()));
  std::vector<int32_t> numbers(static_cast<size_t>(batch * settings.context));
  for (int32_t& token : numbers)
    token = static_cast<int32_t>(random.below(static_cast<uint64_t>(settings.vocabulary)));
  const Tensor tokens = Tensor::from(numbers, Shape{batch, settings.context});

  using Clock = std::chrono::steady_clock;
  double best = 0, spent = 0;
  // The first step also fetches memory and starts threads, so the best one counts.
  while (spent < 1.5) {  // seconds
    const auto start = Clock::now();
    clear_gradients(*model);
    backward(model->loss(tokens, tokens));
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(numbers.size()) / seconds);
    spent += seconds;
  }
  return best;
}

void plan(const Settings& settings, bool measure) {
  const ModelCosts model = model_costs(settings);
  const int64_t parameters = model.parameters, embeddings = model.embeddings;
  const double weights = 4.0 * static_cast<double>(parameters);
  const double optimizer =
      settings.optimizer == "adamw" ? 2 * weights : weights;  // two averages of each gradient, or one
  const auto activations = static_cast<double>(model.activation_bytes);
  const double memory = 2 * weights + optimizer + activations;
  const int64_t step_tokens = settings.batch * settings.context * settings.accumulation;
  const double token_work = model.flops_per_token;

  row("model", "{}{} layers, {} heads, {} wide, context {}, vocabulary {}",
      settings.family == "gpt2" ? "" : settings.family + ", ", settings.layers, settings.heads,
      settings.width, settings.context, grouped(settings.vocabulary));
  row("parameters", "{}: embeddings {} ({} the output head), blocks {}", grouped(parameters),
      grouped(embeddings), settings.tied ? "also" : "with", grouped(parameters - embeddings));
  row("memory", "about {}: weights {}, gradients {}, {} {}, activations of a batch {} in {}",
      bytes_text(memory), bytes_text(weights), bytes_text(weights), settings.optimizer, bytes_text(optimizer),
      bytes_text(activations), settings.precision);
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
  const double free = memory_available();
  if (free > 0 && memory > free) {
    row("time", "not measured: the run needs {} of memory, and {} are free", bytes_text(memory),
        bytes_text(free));
    return;
  }
  const double speed = measured_tokens_per_second(settings);
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
  const auto options = add_settings_options(*command);
  auto counts_only = std::make_shared<bool>(false);
  command->add_flag("--counts-only", *counts_only, "measure nothing");
  command->callback([options, counts_only] { plan(options->settings(), !*counts_only); });
}

}  // namespace chapbook
