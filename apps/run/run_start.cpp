// Run::start and Run::resume: the checks, the data, the model and the directory of a run, before its first
// step.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "apps/report/machine.h"
#include "apps/run/corpus.h"
#include "apps/run/family.h"
#include "apps/run/faults.h"
#include "apps/run/run_parts.h"
#include "apps/run/run_record.h"
#include "data/answers.h"
#include "data/sha256.h"
#include "data/tokenizer_file.h"
#include "nn/adapt.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tensor/os/system.h"

namespace chapbook {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

TrainingData open_training_data(const std::string& directory) {
  Tokenizer tokenizer = load_tokenizer(directory + "/tokenizer");
  TrainingData data{std::move(tokenizer), TokenFile::open(directory + "/train.bin"),
                    TokenFile::open(directory + "/valid.bin")};
  for (const TokenFile* file : {&data.train, &data.valid}) check_same_tokenizer(*file, data.tokenizer.hash());
  return data;
}

// Whether they are token files already.
static bool is_prepared(const std::string& data) {
  return !data.empty() && fs::exists(fs::path(data) / "train.bin");
}

std::string data_directory(const RunOptions& options) {
  if (is_prepared(options.data)) {
    check(options.valid.empty() && options.tokenizer.empty() && !options.valid_share,
          "'{}' holds token files, which have their own validation part and tokenizer", options.data);
    return fs::absolute(options.data).lexically_normal();
  }
  prepare({.train = options.data.empty() ? built_in_source(options.stories, 1) : text_source(options.data),
           .valid = options.valid.empty() ? TextSource{} : text_source(options.valid),
           .valid_share = options.valid_share.value_or(usual_valid_share),
           .tokenizer = options.tokenizer,
           .vocabulary = options.settings.vocabulary,
           .directory = options.directory + "/data"});
  return "data";
}

static std::string learning_line(LanguageModel& model) {
  int64_t learning = 0;
  for (const Parameter& each : learning_parameters(model)) learning += each.variable.value().count();
  return fmt::format("learning   {} of them, {:.2f}%", short_count(static_cast<double>(learning)),
                     100.0 * static_cast<double>(learning) / static_cast<double>(count_parameters(model)));
}

static void describe(const std::string& run, const Settings& settings, const TrainingData& data,
                     LanguageModel& model, const Team& team, const Run::Say& say) {
  const auto& train = data.train.info();
  const bool built_in = train.text == "built-in stories";
  say(fmt::format("run        {}", run));
  say(fmt::format(
      "text       {}{}: {} tokens to train on, {} to validate on{}", train.text,
      built_in ? " (told by a small grammar; not TinyStories)" : "",
      short_count(static_cast<double>(train.tokens)),
      short_count(static_cast<double>(data.valid.info().tokens)),
      data.valid.info().text == train.text ? ", set aside of it" : " from " + data.valid.info().text));
  say(fmt::format("model      {}{} layers, {} heads, {} wide, context {}, vocabulary {}: {} parameters",
                  family_unless_usual(settings), settings.layers, settings.heads, settings.width,
                  settings.context, settings.vocabulary,
                  short_count(static_cast<double>(count_parameters(model)))));
  if (settings.learn != "all") say(learning_line(model));
  if (settings.accumulation > 1)
    say(fmt::format("step       {} tokens: {} batches of {} x {}",
                    settings.accumulation * settings.batch * settings.context, settings.accumulation,
                    settings.batch, settings.context));
  if (settings.shards > 1) {
    const ShardsOfStep shard = shards_of(settings);
    say(fmt::format("shards     {} of {} x {} x {} tokens; {}", settings.shards, shard.batches, shard.rows,
                    settings.context,
                    settings.sum == "tree" ? "their gradients add up in one tree, by any number of workers"
                                           : "the order of their sum depends on the number of workers"));
  }
  if (team.size() > 1)
    say(fmt::format("workers    {} with {} threads each", team.size(), thread_pool().threads()));
  say(fmt::format("backend    {}", describe_backend(model.backend())));
  say(fmt::format("precision  {}",
                  settings.precision == "f32"
                      ? "f32"
                      : settings.precision +
                            " in hidden states and products; weights, their gradients and sums "
                            "are f32, and so are stories and the last evaluation" +
                            (model.backend().faster_in(dtype_named(settings.precision))
                                 ? "; products are faster so (--precision f32: without)"
                                 : "")));
  if (settings.graph && RecordedPass::possible(model.backend()))
    say(fmt::format("graph      the kernels of a batch are recorded once, then started all at once"));
}

// How many steps fit in the minutes, measured on this model, data and machine. Nothing of the run moves: what
// is measured is another model.
static int64_t steps_in(double minutes, const Settings& settings, const TrainingData& data,
                        std::unique_ptr<LanguageModel> model, Team& team, const Run::Say& say) {
  Settings trial = settings;
  trial.steps = 1 << 20;
  Trainer trainer(trial, *model, data.train.tokens(), team);
  trainer.step();  // the first one also takes its memory from the system
  const auto start = Clock::now();
  do trainer.step();
  while (told(team, seconds_since(start) < 5 || trainer.steps() < 4));
  const double step = told(team, seconds_since(start)) / static_cast<double>(trainer.steps() - 1);
  // An evaluation's batch costs a third of a training batch: the forward pass only.
  const double evaluation = settings.eval_every == 0
                                ? 0
                                : 2.0 * static_cast<double>(settings.eval_batches) / 3 /
                                      static_cast<double>(settings.accumulation * settings.eval_every);
  const int64_t steps = std::max<int64_t>(1, static_cast<int64_t>(minutes * 60 / (step * (1 + evaluation))));
  say(fmt::format("time       {:.3f} s a step: {} minutes are {} steps", step, minutes, steps));
  return steps;
}

std::vector<bool> answers_in(const TokenFile& file, const Settings& settings, const Tokenizer& tokenizer) {
  if (settings.answer_after.empty()) return {};
  try {
    return answers(file.tokens(), tokenizer.encode(settings.answer_after), tokenizer.end_of_text());
  } catch (const Error& error) {
    fail("answer_after={}: {}: {}", settings.answer_after, file.info().text, error.what());
  }
}

const std::vector<bool>* if_any(const std::vector<bool>& counted) {
  return counted.empty() ? nullptr : &counted;
}

std::string hash_of(LanguageModel& model) {
  Sha256 hash;
  for (const auto& [name, tensor] : state(model)) {
    const std::vector<float> numbers = tensor.to_vector<float>();
    hash.add({reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float)});
  }
  return hash.hex();
}

// Before the first step, since afterwards it is too late: all that the bits of a step depend on. Weights are
// read by each worker from the files that its machine has, and the kernels of a product are its processor's.
static void check_all_the_same(Team& team, const Settings& settings, const std::string& data,
                               LanguageModel& model, const Json& saved = {}) {
  if (team.size() == 1) return;
  check_same(team, "the program", sha256(read_file(os::program())));
  check_same(team, "the kernels", describe_kernels(model.backend()));
  check_same(team, "the settings", to_json(settings).dump());
  check_same(team, "the data", data);
  check_same(team, "the checkpoint", saved.dump());
  check_same(team, "the weights", hash_of(model));
}

Run::Run(std::optional<os::File> lock, Team& team, std::string directory, RunState state, TrainingData data,
         std::unique_ptr<LanguageModel> model, const SavedRun* saved, Say say)
    : lock_(std::move(lock)),
      team_(team),
      directory_(std::move(directory)),
      state_(std::move(state)),
      settings_(state_.settings),
      data_(std::move(data)),
      train_answers_(answers_in(data_.train, settings_, data_.tokenizer)),
      valid_answers_(answers_in(data_.valid, settings_, data_.tokenizer)),
      model_(std::move(model)),
      trainer_(settings_, *model_, data_.train.tokens(), team, if_any(train_answers_)),
      say_(std::move(say)),
      fresh_(!saved) {
  if (saved) trainer_.restore(saved->trainer, saved->optimizer);
  if (!first_worker()) return;
  log_ = std::make_unique<MetricsLog>(directory_, training_columns, saved ? trainer_.steps() : -1);
  const std::string samples = directory_ + "/samples.jsonl";
  write_file(samples, saved ? lines_up_to(samples, trainer_.steps()) : "");
}

// What the token files hold, for a resumed run to know them again.
static std::string identity(const TrainingData& data) {
  return fmt::format("{} tokens ({}) to train on, {} ({}) to validate on", data.train.size(),
                     data.train.hash(), data.valid.size(), data.valid.hash());
}

os::File lock_run(const std::string& directory) {
  return os::File::to_lock(directory + "/lock", fmt::format("the run '{}'", directory));
}

void check_same_data(const std::string& directory, const RunState& state, const TrainingData& data) {
  check(identity(data) == state.data_is,
        "'{}' cannot go on: its data in {} are {}, but it began with {}; put those back", directory,
        (fs::path(directory) / state.data).string(), identity(data), state.data_is);
}

Settings without_graph(Settings settings) {
  settings.graph = false;
  return settings;
}

// What is found out only after an hour is found out too late.
static void try_saving(const std::string& directory, const Run::Say& say) {
  if (!try_replacing(directory + "/last"))
    say("files      the file system cannot exchange two directories: a checkpoint takes two renames");
}

// A fault that is to be seen is in the backend that all is computed on from now on.
void break_as(const Settings& settings, const Run::Say& say, const Team& team) {
  check(team.size() == 1 || settings.fault == "none",
        "fault={}: a mistake on purpose is for one worker; leave out --workers", settings.fault);
  Backend& sound = without_fault(default_backend());  // a run before may have had one
  set_default_backend(with_fault(sound, settings.fault));
  if (settings.fault != "none") say(fmt::format("BROKEN     on purpose: {}", settings.fault));
}

std::unique_ptr<Run> Run::resume(const std::string& directory, Say say, Team& team) {
  check_has_last(directory);
  std::optional<os::File> lock;
  if (team.rank() == 0) lock.emplace(lock_run(directory));
  SavedRun saved = load_last(directory);
  break_as(saved.state.settings, say, team);
  Model model = load_model(directory + "/last");
  saved.state.ends = model.ends;
  TrainingData data = open_training_data(fs::path(directory) / saved.state.data);
  check_same_tokenizer(data.train, model.tokenizer.hash());
  check_same_data(directory, saved.state, data);
  choose_what_learns(*model.network, saved.state.settings);
  const int64_t shards = saved.state.settings.shards;
  check(shards % team.size() == 0,
        "'{}' cannot go on with {} workers: its step has {} shards, for up to {} workers", directory,
        team.size(), shards, shards);
  if (team.rank() == 0) try_saving(directory, say);
  check_all_the_same(team, saved.state.settings, identity(data), *model.network, saved.trainer);
  describe(directory, saved.state.settings, data, *model.network, team, say);
  say(fmt::format("resuming   at step {} of {}", saved.step, saved.state.settings.steps));
  return std::unique_ptr<Run>(new Run(std::move(lock), team, directory, saved.state, std::move(data),
                                      std::move(model.network), &saved, std::move(say)));
}

// A directory for the run, as the options name it. It goes again with `made`, unless that keeps it.
static std::string make_run_directory(const RunOptions& options, std::optional<NewDirectory>& made) {
  std::string directory = options.directory;
  made.emplace(directory);
  for (int i = 2; options.numbered && !made->made(); ++i) {  // also when another process was faster
    directory = fmt::format("{}-{}", options.directory, i);
    made.emplace(directory);
  }
  return directory;
}

// Whether a run began here: its first file says so.
static bool begun(const std::string& directory) {
  const std::string path = directory + "/run.json";
  const Json json = fs::is_regular_file(path) ? try_parse_json(read_file(path)) : Json();
  return json.is_object() && json.contains("started") && json.contains("machine");
}

// A run begins in a directory of its own, since it writes over what is called like its own files. One that
// ended before its first checkpoint left models that are not this run's.
static void take_directory(const std::string& directory, const std::string& from) {
  const std::string begun_in = directory + "/run.json";
  check(!fs::exists(whole_directory(directory + "/last")),
        "'{0}' is a run already; go on with it: --resume {0}, or choose another --run", directory);
  const auto whole_name = [](const std::string& path) { return fs::weakly_canonical(path).string() + "/"; };
  check(from.empty() || !whole_name(from).starts_with(whole_name(directory)),
        "--from: '{}' lies in '{}', where the run is to begin anew: choose another --run", from, directory);
  if (begun(directory))
    remove_models(directory);
  else
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename().string();
      check(name == "lock" || name == "run.json.part",  // which is what a kill leaves of the first file
            "'{}' holds '{}', and a run begins in a directory of its own: choose another --run", directory,
            printable(name));
    }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const Json beginning = {{"started", std::chrono::duration_cast<std::chrono::seconds>(now).count()},
                          {"machine", machine_json()}};
  write_file(begun_in, beginning.dump(2) + "\n");
}

std::unique_ptr<Run> Run::start(const RunOptions& given, Say say, Team& team) {
  RunOptions options = given;
  Settings settings = options.settings;
  break_as(settings, say, team);
  settings.precision = told(team, settings.precision);  // machines of several kinds would choose differently
  settings.shards = std::max<int64_t>(settings.shards, team.size());
  check_settings(settings);
  checked_precision(settings, default_backend());
  const bool fine_tunes = !options.from.from.empty();
  check(!fine_tunes || options.tokenizer.empty(), "--from: the model has its own tokenizer");
  check(fine_tunes || settings.learn == "all", "learn={} is for a model that is there: --from",
        settings.learn);
  std::optional<os::File> lock;  // to the end, also while the directory is taken away again
  std::optional<NewDirectory> made;
  std::string data_path;
  if (team.rank() == 0) {
    options.directory = make_run_directory(options, made);
    lock.emplace(made->lock(fmt::format("the run '{}'", options.directory)));
    take_directory(options.directory, options.from.from);
    try_saving(options.directory, say);
    if (fine_tunes) {
      begin_with(options.from, options.directory + "/base");
      say(fmt::format("from       {}", options.from.from));
      if (!is_prepared(options.data)) options.tokenizer = options.directory + "/base";
    }
    data_path = data_directory(options);
  }
  const std::string directory = told(team, options.directory);
  data_path = told(team, data_path);
  std::optional<Model> base;
  if (fine_tunes) base = load_model(directory + "/base");
  TrainingData data = open_training_data(fs::path(directory) / data_path);
  if (base) {
    check_same_tokenizer(data.train, base->tokenizer.hash());
    settings = settings_with(settings, *base->network, options.from);
  } else if (settings.vocabulary != data.train.info().vocabulary_size) {
    say(fmt::format("vocabulary {} as the tokenizer has it, not {}", data.train.info().vocabulary_size,
                    settings.vocabulary));
    settings.vocabulary = data.train.info().vocabulary_size;
  }
  const auto model_to_begin_with = [&] {
    std::unique_ptr<LanguageModel> model = base ? load_network(directory + "/base") : make_model(settings);
    Random random{static_cast<uint64_t>(settings.seed)};
    if (!base) model->initialise(random);
    choose_what_learns(*model, settings);
    return model;
  };
  std::unique_ptr<LanguageModel> model = model_to_begin_with();
  describe(directory, settings, data, *model, team, say);
  check_all_the_same(team, settings, identity(data), *model);
  if (settings.minutes > 0)
    settings.steps = steps_in(settings.minutes, settings, data, model_to_begin_with(), team, say);
  if (settings.warmup > settings.steps) {
    say(fmt::format("warm-up    {} steps, which are all there are, not {}", settings.steps, settings.warmup));
    settings.warmup = settings.steps;
  }
  RunState state{.settings = settings, .data = data_path, .data_is = identity(data)};
  if (base) {
    state.ends = base->ends;  // which it may go on to say
    const int32_t end = base->tokenizer.end_of_text();
    if (std::ranges::find(state.ends, end) == state.ends.end()) state.ends.push_back(end);
    const std::string begun =
        team.rank() == 0 ? begun_from(options.from, *base, directory + "/base", settings.batch).dump() : "";
    state.begun_from = parse_json(told(team, begun));
  }
  base.reset();
  if (team.rank() == 0) write_file(directory + "/settings.json", to_json(settings).dump(2) + "\n");
  std::unique_ptr<Run> run(new Run(std::move(lock), team, directory, std::move(state), std::move(data),
                                   std::move(model), nullptr, std::move(say)));
  if (made) made->keep();
  return run;
}

}  // namespace chapbook
