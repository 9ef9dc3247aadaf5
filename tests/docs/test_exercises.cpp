// The exercises are tested themselves: what a reader starts from does not pass and says so kindly, our
// solution and one that is written differently pass, and no wrong solution does.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include "apps/run/metrics.h"
#include "docs/tool/exercise.h"
#include "docs/tool/grade.h"
#include "docs/tool/shell.h"
#include "docs/tool/source.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

// Jobs of a second or two of one core each, on all cores. Each returns what is wrong, or nothing.
class Jobs {
 public:
  void add(std::function<std::string()> job) { jobs_.push_back(std::move(job)); }

  std::vector<std::string> run() {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
      threads.emplace_back([this] {
        for (size_t job; (job = next_++) < jobs_.size();) {
          std::string wrong;
          try {
            wrong = jobs_[job]();
          } catch (const std::exception& error) {
            wrong = error.what();
          }
          const std::lock_guard lock(mutex_);
          if (!wrong.empty()) wrong_.push_back(wrong);
        }
      });
    for (std::thread& thread : threads) thread.join();
    return wrong_;
  }

 private:
  std::vector<std::function<std::string()>> jobs_;
  std::atomic<size_t> next_ = 0;
  std::mutex mutex_;
  std::vector<std::string> wrong_;
};

std::string must_pass(const std::string& what, const Verdict& verdict) {
  return verdict.passed ? "" : what + " does not pass: " + verdict.words;
}
std::string must_fail(const std::string& what, const Verdict& verdict, const std::string& words) {
  if (verdict.passed) return what + " passes";
  return verdict.words.find(words) != std::string::npos
             ? ""
             : fmt::format("{}: the reader is not told \"{}\", but: {}", what, words, verdict.words);
}

Verdict grade_text(const Exercise& exercise, const std::string& text, const fs::path& directory) {
  const fs::path file = file_of(exercise, directory);
  make_directory(file.parent_path());
  write_file(file, text);
  return exercise.of_source() ? grade_source(exercise, file, directory / "build")
                              : grade(exercise, directory);
}

void add_source_jobs(Jobs& jobs, const Exercise& exercise, const std::string& directory) {
  const std::string what = "exercise " + exercise.number;
  jobs.add([=, &exercise] {
    return must_fail(what + ", as it is started,",
                     grade_text(exercise, stub_of(exercise), directory + "/stub"),
                     exercise.begins_whole() ? "The test \"" : " is not written yet: look for \"exercise ");
  });
  jobs.add([=, &exercise] {
    return must_pass(what + ", our solution,",
                     grade_text(exercise, source_of(exercise), directory + "/ours"));
  });
  jobs.add([=, &exercise] {
    return must_pass(what + ", the second solution,",
                     grade_text(exercise, second_of(exercise, ""), directory + "/second"));
  });
  for (const Edit& mutant : exercise.mutants)
    jobs.add([=, &exercise, &mutant] {
      const std::string text = edited(source_of(exercise), mutant, exercise.file);
      const std::string place = fmt::format("{}/{}", directory, &mutant - exercise.mutants.data());
      return must_fail(what + ", with " + mutant.to + ",", grade_text(exercise, text, place), "");
    });
}

void add_number_jobs(Jobs& jobs, const Exercise& exercise, const std::string& directory) {
  const std::string what = "exercise " + exercise.number;
  jobs.add([=, &exercise] {
    return must_fail(what + ", as it is started,", grade_text(exercise, "# The task\n \n", directory),
                     "no answer yet");
  });
  jobs.add([=, &exercise] {
    const std::string answer = fmt::format("{:.15g}", right_answer(exercise));
    return must_pass(what + ", our answer,",
                     grade_text(exercise, "# The task\n" + answer + "\n", directory + "/ours"));
  });
  jobs.add([=, &exercise] {
    return must_pass(what + ", the second answer,", grade_answer(exercise, exercise.second));
  });
  for (const Edit& wrong : exercise.mutants)
    jobs.add([=, &exercise, &wrong] {
      return must_fail(what + ", answer " + wrong.from + ",", grade_answer(exercise, wrong.from), wrong.to);
    });
}

void add_run_jobs(Jobs& jobs, const Exercise& exercise, const std::string& directory) {
  const std::string what = "exercise " + exercise.number;
  const auto run = [&exercise](const std::string& command, const std::string& place) {
    const Ran ran = run_shell(std::string(CHAPBOOK_PROGRAM) + " " + command);
    check(ran.code == 0, "./chapbook {}: {}", command, ran.output);
    return grade(exercise, place);
  };
  jobs.add([=, &exercise] {
    return must_fail(what + ", as it is started,", grade(exercise, directory), "no finished run");
  });
  jobs.add([=, &exercise] {
    return must_pass(what + ", our run,",
                     run(run_command(exercise, directory + "/ours"), directory + "/ours"));
  });
  jobs.add([=, &exercise] {
    const std::string place = directory + "/second";
    return must_pass(what + ", the second run,", run(second_of(exercise, place), place));
  });
  for (const Edit& mutant : exercise.mutants)
    jobs.add([=, &exercise, &mutant] {
      const std::string place = fmt::format("{}/{}", directory, &mutant - exercise.mutants.data());
      const std::string command = edited(run_command(exercise, place), mutant, exercise.number);
      return must_fail(what + ", with " + mutant.to + ",", run(command, place), "wanted is");
    });
}

std::string program(const std::string& arguments) {
  return std::string(CHAPBOOK_EXERCISE_PROGRAM) + " " + arguments;
}

}  // namespace

TEST_CASE("every exercise: the start fails and says so, our solution and another pass, wrong ones do not") {
  const TemporaryDirectory directory;
  std::vector<const Exercise*> sources;
  Jobs jobs;
  for (const Exercise& exercise : exercises()) {
    const std::string place = directory / exercise.number;
    if (exercise.of_source()) {
      sources.push_back(&exercise);
      add_source_jobs(jobs, exercise, place);
    } else if (exercise.kind == "number") {
      add_number_jobs(jobs, exercise, place);
    } else {
      add_run_jobs(jobs, exercise, place);
    }
  }
  build_for(sources);
  for (const std::string& wrong : jobs.run()) FAIL_CHECK(wrong);
}

TEST_CASE("from start to check, as a reader does it") {
  const TemporaryDirectory directory;
  const std::string in = " --in " + directory.path, file = directory / "2.1/tensor/shape.cpp";
  Ran ran = run_shell(program("exercise start 2.1" + in));
  CHECK_MESSAGE(ran.code == 0, ran.output);
  CHECK(ran.output.find(file) != std::string::npos);
  CHECK(read_file(file).starts_with("// Exercise 2.1, build: "));
  ran = run_shell(program("check 2.1" + in));
  CHECK(ran.code == 1);
  CHECK(ran.output.find("2.1 does not pass yet: " + file) != std::string::npos);
  CHECK(ran.output.find("contiguous_strides is not written yet") != std::string::npos);

  // Work is never overwritten.
  write_file(file, "mine");
  ran = run_shell(program("exercise start 2.1" + in));
  CHECK(ran.code == 2);
  CHECK(ran.output.find("--again") != std::string::npos);
  CHECK(read_file(file) == "mine");
  for (const std::string aside : {"2.1.before", "2.1.before2"}) {
    ran = run_shell(program("exercise start 2.1 --again" + in));
    CHECK_MESSAGE(ran.code == 0, ran.output);
    CHECK(read_file(directory / (aside + "/tensor/shape.cpp")) == "mine");
    write_file(file, "mine");
  }

  // What the compiler says arrives.
  ran = run_shell(program("check 2.1" + in));
  CHECK(ran.code == 1);
  CHECK(ran.output.find("It does not compile:\n") != std::string::npos);
  CHECK(ran.output.find("tensor/shape.cpp:1:1: error") != std::string::npos);

  // All that are started, and none else.
  write_file(file, source_of(exercise("2.1")));
  CHECK(run_shell(program("exercise start 2.4" + in)).code == 0);
  ran = run_shell(program("check" + in));
  CHECK(ran.code == 1);
  CHECK(ran.output.find("2.1 passes: " + file + "\n") != std::string::npos);
  CHECK(ran.output.find("1 of 2 pass") != std::string::npos);
  ran = run_shell(program("check 2.4 --answer 823,410,688" + in));
  CHECK_MESSAGE(ran.code == 0, ran.output);
  CHECK(ran.output == "2.4 passes: 823,410,688 bytes.\n");
  CHECK(read_file(directory / "passed/2.4/answer.txt").ends_with("\n823,410,688\n"));
  ran = run_shell(program("check" + in));  // the answer is kept
  CHECK_MESSAGE(ran.code == 0, ran.output);
  CHECK(ran.output.find("2 of 2 pass") != std::string::npos);

  // What has passed stays, whatever happens to the attempt, and the list says what is next.
  CHECK(read_file(directory / "passed/2.1/tensor/shape.cpp") == source_of(exercise("2.1")));
  write_file(file, "mine");
  CHECK(run_shell(program("check 2.1" + in)).code == 1);
  CHECK(read_file(directory / "passed/2.1/tensor/shape.cpp") == source_of(exercise("2.1")));
  CHECK(run_shell(program("exercise start 2.2" + in)).code == 0);
  ran = run_shell(program("exercise list" + in));
  CHECK(ran.output.find("The strides of gapless rows, passed\n") != std::string::npos);
  CHECK(ran.output.find("The shape two shapes stretch to, started\n") != std::string::npos);
  CHECK(ran.output.find(
            fmt::format("2 of {} have passed. Next: Sixty steps, spent well, ./chapbook exercise start 0.1\n",
                        exercises().size())) != std::string::npos);
}

TEST_CASE("hints come one at a time") {
  const TemporaryDirectory directory;
  const std::vector<std::string>& hints = exercise("2.5").hints;
  for (size_t time = 1; time <= hints.size() + 1; ++time) {
    const Ran ran = run_shell(program("exercise hint 2.5 --in " + directory.path));
    CHECK(ran.code == 0);
    for (size_t i = 0; i < hints.size(); ++i) {
      const bool shown = ran.output.find(wrapped(hints[i], "")) != std::string::npos;
      CHECK(shown == (i + 1 == time || time > hints.size()));
    }
  }
  CHECK(read_file(directory / "hints/2.5.txt").starts_with(hints[0] + "\n" + hints[1] + "\n"));
}

TEST_CASE("watching: what is saved is graded, until it passes") {
  const TemporaryDirectory directory;
  const std::string in = " --in " + directory.path, file = directory / "2.4/answer.txt";
  REQUIRE(run_shell(program("exercise start 2.4" + in)).code == 0);
  // The reader saves when it is seen what came of it before.
  const std::string log = directory / "log";
  write_file(log, "");
  const auto save_after = [&](const std::string& words, const std::string& answer) {
    for (int i = 0; i < 3000 && read_file(log).find(words) == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    write_file(file, answer);
  };
  std::thread reader([&] {
    save_after("no answer yet", "1646821376\n");
    save_after("2 times too much", "823410688\n");
  });
  const Ran ran = run_shell("timeout 600 " + program("check 2.4 --watch" + in) + " >" + log);
  reader.join();
  const std::string said = read_file(log);
  CHECK_MESSAGE(ran.code == 0, said, ran.output);
  CHECK(said.find("2 times too much") < said.find("2.4 passes"));
  CHECK(said.find("2.4 passes") != std::string::npos);
}

TEST_CASE("train --mine: a program with the reader's pieces, those of one file together") {
  const TemporaryDirectory directory;
  int pieces = 0;
  for (const Exercise& exercise : exercises()) {
    if (!exercise.of_source()) continue;
    pieces += exercise.is_of_program();
    const fs::path kept = passed_file(exercise, directory.path);
    make_directory(kept.parent_path());
    write_file(kept, second_of(exercise, directory.path));
  }
  const std::string settings =
      " --stories 100 --set layers=1 --set width=32 --set context=32 --set "
      "vocabulary=300 --set steps=3 --run " +
      directory.path;
  const Ran ours = run_shell(std::string(CHAPBOOK_PROGRAM) + " train" + settings + "/ours");
  REQUIRE_MESSAGE(ours.code == 0, ours.output);
  const Ran ran = run_shell(program("mine --in " + directory.path + settings + "/mine"));
  REQUIRE_MESSAGE(ran.code == 0, ran.output);
  CHECK(ran.output.starts_with(fmt::format("With {} pieces of yours in place of ours: ", pieces)));
  CHECK(ran.output.find("A story by this model:") != std::string::npos);
  // Solutions that were written differently: the same losses, up to the order of sums.
  const Metrics a = read_metrics(directory / "ours/metrics.csv"),
                b = read_metrics(directory / "mine/metrics.csv");
  for (size_t i = 0; i < a["loss"].size(); ++i)
    if (!std::isnan(a["loss"][i])) CHECK(std::abs(a["loss"][i] - b["loss"][i]) <= 1e-3 * a["loss"][i]);

  // One piece that is wrong is felt: it is the reader's that runs. And helpers come along.
  const Exercise& walk = exercise("7.4");
  std::string text = second_of(walk, directory.path);
  text = edited(text, {"waiting[node->number] = node;", "remember(waiting, node);"}, walk.file);
  text = edited(
      text,
      {"// A sorted map in place",
       "static void remember(std::map<uint64_t, std::shared_ptr<Node>>&, const std::shared_ptr<Node>&) "
       "{\n  fail(\"the reader's walk runs\");\n}\n\n// A sorted map in place"},
      walk.file);
  write_file(passed_file(walk, directory.path), text);
  const Ran broken = run_shell(program("mine --in " + directory.path + settings + "/broken"));
  CHECK(broken.code == 2);
  CHECK_MESSAGE(broken.output.find("the reader's walk runs") != std::string::npos, broken.output);
}

TEST_CASE("no copy holds its answer, nor does a comment above the hole") {
  for (const Exercise& exercise : exercises()) {
    if (!exercise.of_source()) continue;
    const std::string stub = stub_of(exercise), ours = source_of(exercise);
    if (!exercise.cut.empty()) {
      const Piece piece = find_piece({exercise.file, ours}, exercise.cut);
      for (const std::string& line :
           split_lines(std::string_view(ours).substr(piece.begin, piece.end - piece.begin)))
        if (const size_t at = line.find_first_not_of(' ');
            line.size() > at + 12 && std::string_view(line).substr(at, 5) != "void " &&
            ours.find(line) == ours.rfind(line) && (line.find("//") == at || ours.find(line) > piece.body))
          CHECK_MESSAGE(stub.find(line) == std::string::npos, exercise.number, ": ", line);
    }
    for (const Edit& change : exercise.changes)
      CHECK_MESSAGE(stub.find(change.from) == std::string::npos, exercise.number, ": ", change.from);
  }
}

TEST_CASE("a copy does not hold the answer of the exercise it hides") {
  CHECK(stub_of(exercise("7.2")).find("return -dy * z / y;") == std::string::npos);
  CHECK(stub_of(exercise("7.1")).find("return -dy * z / y;") == std::string::npos);
  CHECK(stub_of(exercise("9.1")).find("mean_du_u +=") == std::string::npos);
  CHECK(stub_of(exercise("9.1")).find("\n  fail(\"exercise 9.1: ") != std::string::npos);
}

TEST_CASE("a copy that never ends or crashes is told so") {
  const TemporaryDirectory directory;
  const Exercise& strides = exercise("2.1");
  build_for({&strides});
  const std::string crashing =
      edited(source_of(strides),
             {"  int64_t step = 1;\n  for (int i = shape.rank - 1",
              "  __builtin_trap();\n  int64_t step = 1;\n  for (int i = shape.rank - 1"},
             strides.file);
  CHECK(must_fail("a crash", grade_text(strides, crashing, directory / "crash"), "crash") == "");
}

TEST_CASE("our solutions are shown") {
  CHECK(run_shell(program("exercise solution 2.1")).output.find("strides[i] = step;") != std::string::npos);
  CHECK(run_shell(program("exercise solution 2.3")).output.find("from * strides[axis]") != std::string::npos);
  CHECK(run_shell(program("exercise solution 12.2")).output.starts_with("124439808 parameters\n"));
  CHECK(run_shell(program("exercise solution 12.4")).output.starts_with("./chapbook train "));
}

TEST_CASE("what cannot be is one line and exit code 2") {
  const std::pair<const char*, const char*> cases[] = {
      {"exercise start 2.9", "chapbook: there is no exercise 2.9; chapter 2 has 2.1, 2.2, 2.3, 2.4, 2.5\n"},
      {"exercise start x",
       "chapbook: there is no exercise \"x\"; an exercise is a number like 2.1, of the chapters "},
      {"exercise start 2", "chapbook: 2 is a chapter; its exercises are 2.1 to 2.5\n"},
      {"exercise start", "chapbook: NUMBER is required\n"},
      {"check 2.4 --in /nowhere", "chapbook: 2.4 is not started yet: ./chapbook exercise start 2.4\n"},
      {"check 2 --in /nowhere", "chapbook: none of them is started yet: ./chapbook exercise start 2.1\n"},
      {"check 2.4 823410688",
       "chapbook: what is \"823410688\"? An answer goes behind --answer: ./chapbook check 2.4 --answer "
       "12,288\n"},
      {"exercise check 2.1",
       "chapbook: exercise takes list, start N.M, hint N.M or solution N.M; to grade one: ./chapbook check "
       "N.M\n"},
      {"check 2.4 --answer x", "chapbook: an answer is a number like 12,288 or 0.25, not \"x\"\n"},
      {"check 2.4 --answer nan", "chapbook: an answer is a number like 12,288 or 0.25, not \"nan\"\n"},
      {"check 2.1 --answer 1", "chapbook: exercise 2.1 asks for a source, not for a number\n"},
      {"exercise hint 9.9", "chapbook: there is no exercise 9.9; chapter 9 has 9.1, 9.2, 9.3, 9.4\n"},
      {"mine --in /nowhere", "chapbook: none of your pieces has passed yet; "},
      {"check --answer 1",
       "chapbook: --answer is the answer of one exercise: ./chapbook check 2.4 --answer 12,288\n"},
      {"exercise start 2.1 --in /proc", "chapbook: "}};
  for (const auto& [arguments, message] : cases) {
    CAPTURE(arguments);
    const Ran ran = run_shell(program(arguments));
    CHECK(ran.code == 2);
    CHECK_MESSAGE(ran.output.starts_with(message), ran.output);
    CHECK(std::count(ran.output.begin(), ran.output.end(), '\n') == 1);
  }
}
