// exercise list, start, hint, solution, and check: what a reader does with exercises.
#include <algorithm>
#include <chrono>
#include <thread>

#include "docs/tool/command.h"
#include "docs/tool/exercise.h"
#include "docs/tool/grade.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

bool started(const Exercise& exercise, const fs::path& directory) {
  return fs::exists(directory / exercise.number);
}

// What comes next: the first that has not passed.
void print_next(const fs::path& directory) {
  size_t count = 0;
  const Exercise* next = nullptr;
  for (const Exercise& exercise : exercises()) {
    count += passed(exercise, directory);
    if (!next && !passed(exercise, directory)) next = &exercise;
  }
  fmt::print("{} of {} have passed.", count, exercises().size());
  if (next)
    fmt::print(" Next: {}, ./chapbook {} {}", next->title,
               started(*next, directory) ? "check" : "exercise start", next->number);
  fmt::print("\n");
}

void list(const std::string& wanted, const fs::path& directory) {
  std::vector<const Exercise*> chosen;
  if (wanted.empty())
    for (const Exercise& exercise : exercises()) chosen.push_back(&exercise);
  else
    chosen = exercises_of(wanted);
  for (const Exercise* exercise : chosen)
    fmt::print("{:<6}{:<13}{}{}\n", exercise->number, exercise->kind, exercise->title,
               passed(*exercise, directory)    ? ", passed"
               : started(*exercise, directory) ? ", started"
                                               : "");
  fmt::print("\n");
  if (chosen.size() == 1) return fmt::print("{}", task_text(*chosen[0], directory, ""));
  print_next(directory);
  fmt::print("list N.M shows a task, start N.M begins one, hint N.M helps.\n");
}

// Moves an earlier attempt to exercises/9.1.before, .before2, ...
void set_aside(const fs::path& attempt) {
  fs::path to = attempt.string() + ".before";
  for (int i = 2; fs::exists(to); ++i) to = fmt::format("{}.before{}", attempt.string(), i);
  fs::rename(attempt, to);
  fmt::print("What was in {} is now in {}.\n", shown(attempt), shown(to));
}

std::string answer_line(const Exercise& exercise) { return "# Your answer, in " + exercise.unit + ":\n"; }

void start(const Exercise& exercise, const fs::path& directory, bool again) {
  const fs::path own = directory / exercise.number, file = file_of(exercise, directory);
  if (started(exercise, directory)) {
    check(again, "exercise {} is started: your work is in {}; --again sets it aside and begins anew",
          exercise.number, shown(own));
    set_aside(own);
  }
  std::string text = task_text(exercise, directory, "# ");
  if (exercise.of_source()) text = stub_of(exercise);
  NewDirectory made(file.parent_path());
  if (exercise.kind == "number") write_file(file, text + answer_line(exercise));
  if (exercise.of_source()) write_file(file, text);
  made.keep();
  fmt::print("Exercise {}, {}: {}.\n\n{}\n", exercise.number, exercise.kind, exercise.title,
             task_text(exercise, directory, ""));
  if (exercise.of_source()) fmt::print("Yours to change: {}\n", shown(file));
  if (exercise.kind == "run")
    fmt::print("For another try: ./chapbook exercise start {} --again\n", exercise.number);
  if (exercise.kind == "number") fmt::print("Your answer goes into {}, or behind --answer.\n", shown(file));
  fmt::print("When you are done: ./chapbook check {}\n", exercise.number);
}

// One hint more than the last time. Those given so far are kept in a file, to be read again.
void hint(const Exercise& exercise, const fs::path& directory) {
  const fs::path file = directory / "hints" / (exercise.number + ".txt");
  const size_t given = fs::exists(file) ? split_lines(read_file(file)).size() : 0;
  const size_t count = exercise.hints.size(), now = std::min(given + 1, count);
  std::string all;
  for (size_t i = 0; i < now; ++i) all += exercise.hints[i] + "\n";
  make_directory(file.parent_path());
  write_file(file, all);
  if (given >= count) {
    fmt::print("These are all there are.\n");
    for (size_t i = 0; i + 1 < count; ++i) fmt::print("{}\n", wrapped(exercise.hints[i], ""));
  }
  fmt::print("{}", wrapped(exercise.hints[now - 1], ""));
  fmt::print("\n{} of {}; {}.\n", now, count,
             now < count ? "the next one says more"
                         : "./chapbook exercise solution " + exercise.number + " shows ours");
}

// What our source has where the reader's has a hole or a bug.
void show_source(const Exercise& exercise) {
  const Source source{exercise.file, source_of(exercise)};
  if (!exercise.cut.empty()) {
    fmt::print("{}:\n\n", exercise.file);
    for (const std::string& line : quoted_lines(source, find_piece(source, exercise.cut)))
      fmt::print("{}\n", line);
  }
  for (const Edit& change : exercise.changes) {
    const size_t at = source.text.find(change.from), begin = source.text.rfind('\n', at) + 1,
                 end = source.text.find('\n', at + change.from.size());
    fmt::print(
        "{}, line {}:\n\n{}\n\n", exercise.file,
        std::count(source.text.begin(), source.text.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1,
        source.text.substr(begin, end - begin));
  }
}

void solution(const Exercise& exercise, const fs::path& directory) {
  if (exercise.of_source()) return show_source(exercise);
  if (exercise.kind == "number")
    fmt::print("{:.15g} {}\n{}\n", right_answer(exercise), exercise.unit, exercise.solution);
  else
    fmt::print("./chapbook {}\n", run_command(exercise, directory));
}

// Puts an answer that passed into the exercise's file, below the comments that are there.
void keep_answer(const Exercise& exercise, const fs::path& directory, const std::string& answer) {
  const fs::path file = file_of(exercise, directory);
  std::string text = task_text(exercise, directory, "# ") + answer_line(exercise);
  if (fs::exists(file)) {
    text.clear();
    for (const std::string& line : split_lines(read_file(file)))
      if (line.starts_with('#')) text += line + "\n";
  }
  make_directory(file.parent_path());
  write_file(file, text + answer + "\n");
}

// Keeps what has passed, so that it is there when the attempt is changed or set aside.
void keep_passed(const Exercise& exercise, const fs::path& directory) {
  const fs::path file = file_of(exercise, directory), kept = passed_file(exercise, directory);
  make_directory(kept.parent_path());
  write_file(kept, read_file(exercise.kind == "run" ? file / "results.json" : file));
}

// Prints the verdicts; whether all passed.
bool check_all(const std::vector<const Exercise*>& chosen, const fs::path& directory,
               const std::string& answer) {
  std::vector<const Exercise*> sources;
  for (const Exercise* exercise : chosen)
    if (exercise->of_source()) sources.push_back(exercise);
  if (!sources.empty()) build_for(sources);
  size_t count = 0;
  for (const Exercise* exercise : chosen) {
    const Verdict verdict = answer.empty() ? grade(*exercise, directory) : grade_answer(*exercise, answer);
    count += verdict.passed;
    if (verdict.passed && !answer.empty()) keep_answer(*exercise, directory, answer);
    if (verdict.passed) keep_passed(*exercise, directory);
    fmt::print("{} {}: {}{}\n", exercise->number, verdict.passed ? "passes" : "does not pass yet",
               answer.empty() ? shown(file_of(*exercise, directory)) + "\n" : "", verdict.words);
  }
  if (chosen.size() > 1) fmt::print("\n{} of {} pass.\n", count, chosen.size());
  return count == chosen.size();
}

// When the reader last saved: of a run, when it ended.
fs::file_time_type saved(const Exercise& exercise, const fs::path& directory) {
  std::error_code none;  // yet
  const fs::path file = file_of(exercise, directory);
  return fs::last_write_time(exercise.kind == "run" ? file / "results.json" : file, none);
}

// Grades what was saved since, until all pass.
void watch(std::vector<const Exercise*> left, const fs::path& directory) {
  std::map<std::string, fs::file_time_type> graded;
  while (!left.empty()) {
    for (size_t i = 0; i < left.size();) {
      const Exercise& exercise = *left[i];
      const fs::file_time_type now = saved(exercise, directory);
      bool passes = false;
      if (const auto [at, first] = graded.try_emplace(exercise.number, now); first || at->second != now) {
        at->second = now;
        passes = check_all({&exercise}, directory, "");
        fmt::print("{}\n", passes ? "" : "\nSave it to have it graded again; Ctrl-C ends this.\n");
      }
      if (passes)
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
      else
        ++i;
    }
    if (!left.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  print_next(directory);
}

std::vector<const Exercise*> chosen_to_check(const std::string& wanted, const fs::path& directory,
                                             const std::string& answer) {
  std::vector<const Exercise*> chosen;
  if (!answer.empty()) {
    check(!wanted.empty(), "--answer is the answer of one exercise: ./chapbook check 2.4 --answer 12,288");
    check(exercise(wanted).kind == "number", "exercise {} asks for a {}, not for a number", wanted,
          exercise(wanted).of_source() ? "source" : "run");
    return {&exercise(wanted)};
  }
  if (wanted.empty())
    for (const Exercise& each : exercises()) chosen.push_back(&each);
  else
    chosen = exercises_of(wanted);
  const std::string first = chosen.front()->number;
  std::erase_if(chosen, [&](const Exercise* each) { return !started(*each, directory); });
  check(!chosen.empty(), "{} started yet: ./chapbook exercise start {}",
        wanted == first ? first + " is not" : "none of them is", first);
  return chosen;
}

struct Options {
  std::string number, answer, directory = exercises_directory();
  bool again = false, watch = false;
};

void add_directory(CLI::App& command, const std::shared_ptr<Options>& options) {
  command.add_option("--in", options->directory, "where your copies are; exercises/ unless told")
      ->type_name("DIR");
}

}  // namespace

void add_exercise(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("exercise", "the exercises of the book: list, start, hint, solution");
  command->alias("exercises");
  command->allow_extras();  // of which the callback says what is right
  command->callback([command] {
    check(!command->get_subcommands().empty(),
          "exercise takes list, start N.M, hint N.M or solution N.M; to grade one: ./chapbook check N.M");
  });
  auto options = std::make_shared<Options>();
  CLI::App* listing =
      command->add_subcommand("list", "all exercises, those of a chapter, or one with its task");
  listing->add_option("NUMBER", options->number, "as 2 or 2.1");
  listing->callback([options] { list(options->number, options->directory); });
  CLI::App* starting = command->add_subcommand("start", "make your copy of what an exercise is about");
  starting->add_option("NUMBER", options->number, "as 2.1")->required();
  starting->add_flag("--again", options->again, "set an earlier attempt aside and begin anew");
  starting->callback([options] { start(exercise(options->number), options->directory, options->again); });
  CLI::App* hinting = command->add_subcommand("hint", "one hint more each time");
  hinting->add_option("NUMBER", options->number, "as 2.1")->required();
  hinting->callback([options] { hint(exercise(options->number), options->directory); });
  CLI::App* solving = command->add_subcommand("solution", "show ours");
  solving->add_option("NUMBER", options->number, "as 2.1")->required();
  solving->callback([options] { solution(exercise(options->number), options->directory); });
  for (CLI::App* each : {listing, starting, hinting, solving}) add_directory(*each, options);
}

void add_check(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("check", "grade an exercise, those of a chapter, or all that are started");
  auto options = std::make_shared<Options>();
  command->add_option("NUMBER", options->number, "as 2 or 2.1; none: all that are started");
  command->add_option("--answer", options->answer, "the number an exercise asks for")->type_name("X");
  command->add_flag("--watch", options->watch, "grade again whenever a copy is saved, until it passes");
  add_directory(*command, options);
  command->allow_extras();
  command->callback([command, options] {
    if (const std::vector<std::string> more = command->remaining(); !more.empty())
      fail("what is \"{}\"? An answer goes behind --answer: ./chapbook check 2.4 --answer 12,288", more[0]);
    const auto chosen = chosen_to_check(options->number, options->directory, options->answer);
    if (options->watch) return watch(chosen, options->directory);
    if (!check_all(chosen, options->directory, options->answer)) throw CLI::RuntimeError(1);
  });
}

}  // namespace chapbook
