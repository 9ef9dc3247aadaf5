// `./chapbook train`: text in, a model that tells stories out.
#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>

#include "apps/checkpoint.h"
#include "apps/command.h"
#include "apps/files.h"
#include "apps/generator.h"
#include "apps/machine.h"
#include "apps/memory.h"
#include "apps/metrics.h"
#include "apps/prepare.h"
#include "apps/progress.h"
#include "data/tokenizer_file.h"

namespace chapbook {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ctrl-C asks the loop to end after the step it is in; a second one ends the program at once.
volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int signal) {
  interrupted = 1;
  std::signal(signal, SIG_DFL);
}

struct TrainOptions {
  std::string data, valid, tokenizer, run, resume;
  int64_t stories = 20000;
  std::shared_ptr<SettingsOptions> settings;
};

// Token files with the tokenizer that made them.
struct Data {
  std::string directory;
  Tokenizer tokenizer;
  TokenFile train, valid;
};

Data open_data(const std::string& directory) {
  Tokenizer tokenizer = load_tokenizer(directory + "/tokenizer");
  Data data{directory, std::move(tokenizer), TokenFile::open(directory + "/train.bin"),
            TokenFile::open(directory + "/valid.bin")};
  for (const TokenFile* file : {&data.train, &data.valid}) check_same_tokenizer(*file, data.tokenizer.hash());
  return data;
}

// Token files that are there already are used where they lie, given as an absolute path; a text becomes token
// files inside the run, in "data".
std::string data_directory(const TrainOptions& options, int64_t vocabulary, const std::string& run) {
  if (!options.data.empty() && fs::exists(fs::path(options.data) / "train.bin")) {
    check(options.valid.empty() && options.tokenizer.empty(),
          "'{}' holds token files, which have their own validation part and tokenizer", options.data);
    return fs::absolute(options.data).lexically_normal();
  }
  prepare({.train = options.data.empty() ? built_in_source(options.stories, 1) : text_source(options.data),
           .valid = options.valid.empty() ? TextSource{} : text_source(options.valid),
           .tokenizer = options.tokenizer,
           .vocabulary = vocabulary,
           .directory = run + "/data"});
  return "data";
}

// runs/tiny, or runs/tiny-2, ...: the first that is free.
std::string free_run(const std::string& name) {
  for (int i = 1;; ++i) {
    const std::string run = i == 1 ? "runs/" + name : fmt::format("runs/{}-{}", name, i);
    if (!fs::exists(run)) return run;
  }
}

// One run, new or gone on with, up to its end or to Ctrl-C.
class Run {
 public:
  Run(std::string directory, RunState state, Data data, std::unique_ptr<GPT> gpt, const SavedRun* saved)
      : directory_(std::move(directory)),
        state_(std::move(state)),
        settings_(state_.settings),
        data_(std::move(data)),
        gpt_(std::move(gpt)),
        trainer_(settings_, *gpt_, data_.train.tokens()) {
    if (saved) trainer_.restore(saved->trainer, saved->optimizer);
    log_ = std::make_unique<MetricsLog>(directory_, training_columns, saved ? trainer_.steps() : -1);
    fresh_ = !saved;
  }

  // How many steps fit in the minutes, measured on this model, data and machine. Nothing of the run moves:
  // what is measured is another model.
  static int64_t steps_in(double minutes, const Settings& settings, const Data& data);

  void train();   // until the steps are done, or Ctrl-C
  void finish();  // the last evaluation, the curve, the results, a story
  bool interrupted_early() const { return interrupted && !done(); }

 private:
  bool done() const {
    return trainer_.steps() >= settings_.steps ||
           (settings_.early_stop > 0 && state_.evaluations_since_best >= settings_.early_stop);
  }
  size_t peak_bytes() const { return gpt_->backend().blocks().peak_bytes(); }
  void check_first_loss(double loss) const;
  void evaluate_now(Progress& progress);
  void save() {
    state_.seconds = seconds_before_ + seconds_since(start_);
    save_last(directory_, state_, trainer_, *gpt_, data_.tokenizer);
  }
  Sampling sampling(int64_t tokens) const {
    return {settings_.temperature, settings_.top_k, settings_.top_p, static_cast<uint64_t>(settings_.seed),
            tokens};
  }

  std::string directory_;
  RunState state_;
  Settings settings_;
  Data data_;
  std::unique_ptr<GPT> gpt_;
  Trainer trainer_;
  std::unique_ptr<MetricsLog> log_;
  bool fresh_;
  Clock::time_point start_ = Clock::now();
  double seconds_before_ = state_.seconds;
};

int64_t Run::steps_in(double minutes, const Settings& settings, const Data& data) {
  Settings trial = settings;
  trial.steps = 1 << 20;
  GPT gpt(model_config(trial));
  Random random{1};
  gpt.initialise(random);
  Trainer trainer(trial, gpt, data.train.tokens());
  trainer.step();  // the first one also takes its memory from the system
  const auto start = Clock::now();
  do trainer.step();
  while (seconds_since(start) < 5 || trainer.steps() < 4);
  const double step = seconds_since(start) / static_cast<double>(trainer.steps() - 1);
  // An evaluation's batch costs a third of a training batch: the forward pass only.
  const double evaluation = settings.eval_every == 0
                                ? 0
                                : 2.0 * static_cast<double>(settings.eval_batches) / 3 /
                                      static_cast<double>(settings.accumulation * settings.eval_every);
  const int64_t steps = std::max<int64_t>(1, static_cast<int64_t>(minutes * 60 / (step * (1 + evaluation))));
  fmt::print("time       {:.3f} s a step: {} minutes are {} steps\n", step, minutes, steps);
  return steps;
}

// With small random weights every token is about equally likely: the loss of the first step is near ln V, or
// something is wrong.
void Run::check_first_loss(double loss) const {
  const double expected = std::log(static_cast<double>(settings_.vocabulary));
  check(std::abs(loss - expected) < 0.05 * expected + 0.3,
        "the first loss is {:.3f}, but a fresh model of {} tokens starts near ln {} = {:.3f}; something is "
        "wrong",
        loss, settings_.vocabulary, settings_.vocabulary, expected);
  fmt::print("first loss {:.3f}, expected near ln {} = {:.3f}\n", loss, settings_.vocabulary, expected);
}

void Run::evaluate_now(Progress& progress) {
  const double train = evaluate(*gpt_, data_.train.tokens(), settings_.batch, settings_.eval_batches).loss;
  const double valid = evaluate(*gpt_, data_.valid.tokens(), settings_.batch, settings_.eval_batches).loss;
  const bool best = state_.evaluations == 0 || valid < state_.best_loss;
  ++state_.evaluations;
  state_.evaluations_since_best = best ? 0 : state_.evaluations_since_best + 1;
  if (best) {
    state_.best_loss = valid;
    save_best(directory_, *gpt_, data_.tokenizer);
  }
  log_->write(
      trainer_.steps(),
      {{"tokens", static_cast<double>(trainer_.tokens())}, {"train_loss", train}, {"valid_loss", valid}});
  progress.clear();
  fmt::print("step {:>6}  train {:.4f}  valid {:.4f}{}\n", trainer_.steps(), train, valid,
             best ? "  best so far" : "");
  std::fflush(stdout);
}

void Run::train() {
  gpt_->backend().blocks().reset_peak();  // what was measured before is no part of the run
  const auto due = [&](int64_t every) { return every > 0 && trainer_.steps() % every == 0; };
  Progress progress("training", static_cast<double>(settings_.steps), static_cast<double>(trainer_.steps()));
  while (!done() && !interrupted) {
    const auto before = Clock::now();
    const Trainer::Step step = trainer_.step();
    const double speed = static_cast<double>(trainer_.tokens_per_step()) / seconds_since(before);
    if (trainer_.steps() == 1 && fresh_) {
      progress.clear();
      check_first_loss(step.loss);
    }
    log_->write(trainer_.steps(), {{"tokens", static_cast<double>(trainer_.tokens())},
                                   {"loss", step.loss},
                                   {"rate", step.rate},
                                   {"gradient_norm", step.gradient_norm},
                                   {"tokens_per_second", speed},
                                   {"seconds", seconds_before_ + seconds_since(start_)},
                                   {"peak_bytes", static_cast<double>(peak_bytes())}});
    progress.update(
        static_cast<double>(trainer_.steps()),
        fmt::format("loss {:.3f}  rate {:.1e}  {} tokens/s", step.loss, step.rate, short_count(speed)));
    if (due(settings_.eval_every) || done()) evaluate_now(progress);
    if (due(settings_.save_every)) save();
    if (due(settings_.sample_every) && !done()) {
      progress.clear();
      fmt::print("  {}\n", tell(*gpt_, data_.tokenizer, "", sampling(48)));
    }
  }
  progress.finish();
  save();
  if (settings_.early_stop > 0 && state_.evaluations_since_best >= settings_.early_stop)
    fmt::print("stopped early: {} evaluations without a lower validation loss\n",
               state_.evaluations_since_best);
}

void Run::finish() {
  const size_t peak = peak_bytes();  // before there is a second model
  const std::unique_ptr<GPT> best = load_gpt(directory_ + "/best");
  const Score score = evaluate(*best, data_.valid.tokens(), settings_.batch);
  const double bits = bits_per_byte(score, data_.valid.info().tokens, data_.valid.info().text_bytes);
  const double seconds = seconds_before_ + seconds_since(start_);
  const nlohmann::ordered_json results = {{"machine", machine_json()},
                                          {"data",
                                           {{"train", data_.train.info().text},
                                            {"train_tokens", data_.train.size()},
                                            {"valid", data_.valid.info().text},
                                            {"valid_tokens", data_.valid.size()},
                                            {"valid_bytes", data_.valid.info().text_bytes}}},
                                          {"settings", to_json(settings_)},
                                          {"parameters", count_parameters(*best)},
                                          {"steps", trainer_.steps()},
                                          {"tokens", trainer_.tokens()},
                                          {"seconds", std::round(seconds * 10) / 10},
                                          {"valid_loss", score.loss},
                                          {"valid_perplexity", std::exp(score.loss)},
                                          {"valid_bits_per_byte", bits},
                                          {"peak_bytes", peak}};
  write_file(directory_ + "/results.json", results.dump(2) + "\n");
  write_file(directory_ + "/loss.svg", svg(loss_curve(read_metrics(directory_ + "/metrics.csv"),
                                                      fmt::format("Loss of {}", directory_))));
  fmt::print("\ntrained    {} tokens in {}\n", short_count(static_cast<double>(trainer_.tokens())),
             duration(seconds));
  fmt::print("memory     {} of tensors at most\n", bytes_text(static_cast<double>(peak)));
  fmt::print(
      "valid      loss {:.4f}, perplexity {:.2f}, {:.4f} bits per byte, over all {} validation tokens (best "
      "model)\n",
      score.loss, std::exp(score.loss), bits, score.targets);
  fmt::print("files      {0}/best (the model), {0}/loss.svg, {0}/metrics.csv, {0}/results.json\n\n",
             directory_);
  fmt::print("A story by this model:\n\n{}\n\n", tell(*best, data_.tokenizer, "", sampling(400)));
  fmt::print("More:  ./chapbook generate {}\n", directory_);
}

void describe(const std::string& run, const Settings& settings, const Data& data, const GPT& gpt) {
  const auto& train = data.train.info();
  const bool built_in = train.text == "built-in stories";
  fmt::print("run        {}\n", run);
  fmt::print(
      "text       {}{}: {} tokens to train on, {} to validate on{}\n", train.text,
      built_in ? " (told by a small grammar; not TinyStories)" : "",
      short_count(static_cast<double>(train.tokens)),
      short_count(static_cast<double>(data.valid.info().tokens)),
      data.valid.info().text == train.text ? ", stories set aside" : " from " + data.valid.info().text);
  fmt::print("model      {} layers, {} heads, {} wide, context {}, vocabulary {}: {} parameters\n",
             settings.layers, settings.heads, settings.width, settings.context, settings.vocabulary,
             short_count(static_cast<double>(parameter_count(gpt.config()))));
  fmt::print("backend    {}\n", describe_backend(gpt.backend()));
  fmt::print("precision  {}\n", settings.precision == "f32"
                                    ? "f32"
                                    : settings.precision +
                                          " in hidden states and products; weights, their gradients and sums "
                                          "are f32, and so are stories and the last evaluation");
  if (settings.graph && RecordedPass::possible(gpt.backend()))
    fmt::print("graph      the kernels of a batch are recorded once, then started all at once\n");
}

std::unique_ptr<Run> resume(const TrainOptions& options) {
  check(options.data.empty() && options.valid.empty() && options.tokenizer.empty() && options.run.empty() &&
            options.settings->config.empty() && options.settings->assignments.empty(),
        "--resume goes on with the run's own data and settings; give nothing else");
  SavedRun saved = load_last(options.resume);
  Model model = load_model(options.resume + "/last");
  Data data = open_data(fs::path(options.resume) / saved.state.data);
  check_same_tokenizer(data.train, model.tokenizer.hash());
  describe(options.resume, saved.state.settings, data, *model.gpt);
  fmt::print("resuming   at step {} of {}\n", saved.step, saved.state.settings.steps);
  const RunState state = saved.state;
  return std::make_unique<Run>(options.resume, state, std::move(data), std::move(model.gpt), &saved);
}

std::unique_ptr<Run> start(const TrainOptions& options, const std::string& directory) {
  Settings settings = options.settings->settings();
  checked_precision(settings, default_backend());
  check(!fs::exists(directory + "/last"),
        "'{0}' is a run already; go on with it: --resume {0}, or choose another --run", directory);
  const std::string data_path = data_directory(options, settings.vocabulary, directory);
  Data data = open_data(fs::path(directory) / data_path);
  if (settings.vocabulary != data.train.info().vocabulary_size)
    fmt::print("vocabulary {} as the tokenizer has it, not {}\n", data.train.info().vocabulary_size,
               settings.vocabulary);
  settings.vocabulary = data.train.info().vocabulary_size;
  auto gpt = std::make_unique<GPT>(model_config(settings));
  Random random{static_cast<uint64_t>(settings.seed)};
  gpt->initialise(random);
  make_directory(directory);
  describe(directory, settings, data, *gpt);
  if (settings.minutes > 0) settings.steps = Run::steps_in(settings.minutes, settings, data);
  settings.warmup = std::min(settings.warmup, settings.steps);
  write_file(directory + "/settings.json", to_json(settings).dump(2) + "\n");
  return std::make_unique<Run>(directory, RunState{.settings = settings, .data = data_path}, std::move(data),
                               std::move(gpt), nullptr);
}

void train(const TrainOptions& options) {
  std::string directory = options.resume;
  std::unique_ptr<Run> run;
  if (!options.resume.empty()) {
    run = resume(options);
  } else {
    directory = options.run.empty() ? free_run(options.settings->preset) : options.run;
    const bool existed = fs::exists(directory);
    try {
      run = start(options, directory);
    } catch (...) {  // what cannot start leaves nothing behind
      std::error_code ignored;
      if (!existed) fs::remove_all(directory, ignored);
      throw;
    }
  }
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  run->train();
  if (run->interrupted_early()) {
    fmt::print("stopped and saved. Go on with:  ./chapbook train --resume {}\n", directory);
    std::fflush(stdout);
    std::exit(130);  // what shells expect of a program ended by Ctrl-C
  }
  run->finish();
}

}  // namespace

void add_train(CLI::App& program) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App& command = *program.add_subcommand("train", "train a model; at the end it tells a story");
  command.add_option(
      "--data", options->data,
      "a text file, a directory of .txt files, or of token files (see prepare); none: built-in stories");
  command.add_option("--valid", options->valid,
                     "text for validation; without it, some stories are set aside");
  command.add_option("--tokenizer", options->tokenizer, "a tokenizer there is; without it, one is learned")
      ->type_name("DIR");
  command.add_option("--stories", options->stories, "how many built-in stories")
      ->check(CLI::Range(2, 100'000'000))
      ->capture_default_str();
  command.add_option("--run", options->run, "directory of the run; runs/PRESET unless told")
      ->type_name("DIR");
  command.add_option("--resume", options->resume, "go on with a run, bit for bit")->type_name("DIR");
  options->settings = add_settings_options(command);
  command.footer(
      "Examples:\n"
      "  ./chapbook train\n"
      "  ./chapbook train --data train.txt --valid valid.txt --set minutes=30\n"
      "  ./chapbook train --resume runs/tiny");
  command.callback([options] { train(*options); });
}

}  // namespace chapbook
