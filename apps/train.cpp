// `./chapbook train`: text in, a model that tells stories out.
#include <fmt/core.h>

#include <algorithm>

#include "apps/command.h"
#include "apps/fetch_options.h"
#include "apps/listen_options.h"
#include "apps/run/corpus.h"
#include "apps/run/run.h"
#include "apps/run/trial.h"
#include "apps/run/workers.h"
#include "apps/serve/dashboard.h"
#include "apps/settings_options.h"
#include "team/mpi.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

struct Arguments {
  RunOptions run;
  std::string resume;
  std::shared_ptr<SettingsOptions> settings;
  FetchOptionsOf fetch;
  std::shared_ptr<ListenOptions> listen;
  bool check = false, find_rate = false, dashboard = false;
  int workers = 1;
};

constexpr const char* of_the_dashboard = "Dashboard";

void print_line(std::string_view line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

// Worker 0 speaks, fetches and keeps the run's files.
std::unique_ptr<Run> begin(Arguments& arguments, Team& team) {
  RunOptions& options = arguments.run;
  const Run::Say say = team.rank() == 0 ? Run::Say(print_line) : [](std::string_view) {};
  if (arguments.resume.empty()) {
    SettingsOptions::Names given;
    options.settings = arguments.settings->settings(&given);
    options.numbered = options.directory.empty();
    const bool fine_tunes = !options.from.from.empty();
    if (fine_tunes) train_as_given(options.from, given, options.settings);
    if (options.numbered) options.directory = "runs/" + (fine_tunes ? "tuned" : arguments.settings->preset);
    if (team.rank() == 0 && is_remote(options.data)) fetch_data(options, *arguments.fetch);
    return Run::start(options, say, team);
  }
  return Run::resume(arguments.resume, say, team);
}

// A resumed run has its data and settings. What else is given, now or in a later version, would be ignored.
void check_nothing_beside_resume(const CLI::App& command) {
  if (command.count("--resume") == 0) return;
  for (const CLI::Option* option : command.get_options())
    check(option->count() == 0 || option->get_name() == "--resume" || option->get_name() == "--workers" ||
              option->get_group() == of_the_dashboard || option->get_group() == every_command,
          "--resume goes on with the run's own data and settings; leave out {}", option->get_name());
}

// What the model that --from names has of its own.
void check_nothing_beside_from(const CLI::App& command) {
  if (command.count("--from") == 0) return;
  check(command.count("--tokenizer") == 0, "--from: the model has its own tokenizer; leave out --tokenizer");
  check(
      command.count("--preset") == 0,
      "--from: a preset sets sizes, and the model has its own; leave out --preset and give what else it sets "
      "with --set");
}

// --check and --find-rate: the data are prepared as for a run, which is then not begun.
void look(Arguments& arguments) {
  RunOptions& options = arguments.run;
  options.settings = arguments.settings->settings();
  const std::string &from = options.from.from, &learn = options.settings.learn;
  check(from.empty(), "--check and --find-rate look at a new model; leave out --from");
  check(learn == "all", "--check and --find-rate look at a new model; learn={} is for one that is there",
        learn);
  check(arguments.workers == 1 && !started_by_mpirun(), "--check and --find-rate are for one worker");
  checked_precision(options.settings, default_backend());
  if (is_remote(options.data)) fetch_data(options, *arguments.fetch);
  const auto& interrupted = listen_for_interrupts();  // until the files are taken away again
  const TrainingData data = data_to_look_at(options);
  if (interrupted) std::exit(130);
  stop_listening();
  if (arguments.check) {
    const int wrong = check_training(options.settings, data, print_line);
    check(wrong == 0, "{} of the checks found something wrong", wrong);
  }
  if (arguments.find_rate) {
    const RateCurve curve = find_rate(options.settings, data);
    write_file("rate.svg", svg(plot_of(curve)));
    print_line(fmt::format("rate.svg: the loss at each rate. To try: --set rate={:.1e}", curve.suggestion));
  }
}

// Before anything else, since a port that is taken is to be known at once.
std::unique_ptr<Dashboard> open_dashboard(const ListenOptions& listen) {
  auto dashboard = std::make_unique<Dashboard>(listen.host, listen.port, listen.names);
  print_line(fmt::format("dashboard  {}{}", listen.address(dashboard->port()),
                         listen.for_others() ? ", and by this machine's address for all who can reach it; "
                                               "there are no passwords"
                                             : ""));
  return dashboard;
}

// Whether the run is done; else it was stopped.
bool train(Arguments& arguments, Team& team, const volatile std::sig_atomic_t& stop) {
  std::unique_ptr<Dashboard> dashboard;
  if (arguments.dashboard && team.rank() == 0) dashboard = open_dashboard(*arguments.listen);
  const std::unique_ptr<Run> run = begin(arguments, team);
  if (dashboard) dashboard->show(run->directory());
  run->train(stop);
  const bool first = team.rank() == 0;
  if (run->done()) {
    if (first) run->finish();
    return true;
  }
  if (first) fmt::print("stopped and saved. Go on with:  ./chapbook train --resume {}\n", run->directory());
  std::fflush(stdout);
  return false;
}

void train(Arguments& arguments) {
  if (arguments.check || arguments.find_rate) return look(arguments);
  in_workers(arguments.workers, [&](Team& team, const volatile std::sig_atomic_t& stop) {
    return train(arguments, team, stop);
  });
}

}  // namespace

void add_train(CLI::App& program) {
  auto options = std::make_shared<Arguments>();
  CLI::App& command = *program.add_subcommand("train", "train a model; at the end it tells a story");
  CLI::Option* data = command.add_option("--data", options->run.data,
                                         "a text file (.txt, .jsonl), a directory of them or of token files "
                                         "(see prepare), an address, or a set's name (see download); none: "
                                         "built-in stories");
  CLI::Option* valid = command.add_option("--valid", options->run.valid,
                                          "text for validation; without it, some of the text is set aside");
  command.add_option("--valid-share", options->run.valid_share, "share of the text to set aside")
      ->check(share())
      ->default_str(fmt::format("{}", usual_valid_share))
      ->type_name("SHARE")
      ->excludes(valid);
  command
      .add_option("--tokenizer", options->run.tokenizer, "a tokenizer there is; without it, one is learned")
      ->type_name("DIR");
  CLI::Option* from = command.add_option(
      "--from", options->run.from.from,
      "go on from a model that is there, a run or a Hugging Face directory: its sizes and its tokenizer; see "
      "the settings of fine-tuning");
  from->type_name("DIR");
  command
      .add_option("--new-words", options->run.from.words,
                  "a file of words, one a line, that the tokenizer is to have as tokens")
      ->type_name("FILE")
      ->needs(from);
  command
      .add_option("--old-text", options->run.from.old_text,
                  "the loss on it before and after, to see what is forgotten; of a run its validation text")
      ->type_name("FILE")
      ->needs(from);
  command.add_option("--stories", options->run.stories, "how many built-in stories")
      ->check(whole_number(2, 100'000'000))
      ->capture_default_str()
      ->excludes(data);
  CLI::Option* run =
      command.add_option("--run", options->run.directory, "directory of the run; runs/PRESET unless told")
          ->type_name("DIR");
  command.add_option("--resume", options->resume, "go on with a run, bit for bit")->type_name("DIR");
  command
      .add_option(
          "--workers", options->workers,
          "processes that share each step and the cores of this machine, a power of two; with the bits "
          "of one. Shards of a step become as many, if there are fewer")
      ->check(whole_number(1, 64))
      ->type_name("N");
  CLI::Option* check = command.add_flag("--check", options->check,
                                        "look for the usual mistakes instead of training, about a minute");
  CLI::Option* find_rate = command.add_flag("--find-rate", options->find_rate,
                                            "look for a learning rate instead: rate.svg and a number");
  CLI::Option* dashboard =
      command
          .add_flag("--dashboard", options->dashboard,
                    "a page of the run while it trains: curves, what it tells, speed, memory")
          ->excludes(check)
          ->excludes(find_rate);
  for (CLI::Option* look : {check, find_rate}) look->excludes(run);  // they begin none
  options->listen = add_listen_options(command, dashboard);
  for (const char* name : {"--dashboard", "--host", "--port", "--name"})
    command.get_option(name)->group(of_the_dashboard);
  options->fetch = add_fetch_options(command);
  options->settings = add_settings_options(command);
  command
      .add_option_function<std::string>(  // after --set, which replaces all assignments
          "--break",
          [options](const std::string& name) { options->settings->assignments.push_back("fault=" + name); },
          "train with a mistake in it, to see what that looks like: the setting fault; apps/run/faults.cpp "
          "lists them")
      ->type_name("NAME");
  command.footer(
      "Examples:\n"
      "  ./chapbook train\n"
      "  ./chapbook train --data train.txt --valid valid.txt --set minutes=30\n"
      "  ./chapbook train --data tinystories --preset story\n"
      "  ./chapbook train --from runs/story --data letters.txt --set steps=300 --set rate=3e-4\n"
      "  ./chapbook train --from runs/story --data letters.txt --set learn=lora --set rate=1e-2\n"
      "  ./chapbook train --check --data train.txt\n"
      "  ./chapbook train --find-rate --preset small\n"
      "  ./chapbook train --dashboard --host 0.0.0.0     # to be looked at from a phone in the same network\n"
      "  ./chapbook train --resume runs/tiny");
  command.callback([options, &command] {
    check_nothing_beside_resume(command);
    check_nothing_beside_from(command);
    if (!is_remote(options->run.data)) check_nothing_fetched(command);
    train(*options);
  });
}

}  // namespace chapbook
