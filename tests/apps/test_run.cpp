// A run without a process: what it says, what it leaves behind, and that it can be stopped and gone on with.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include <fmt/core.h>
#include <unistd.h>

#include "apps/run/run_parts.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

namespace {

RunOptions small_run(const std::string& directory) {
  RunOptions options{.directory = directory, .stories = 200};
  Settings& s = options.settings;
  s.layers = 1, s.heads = 2, s.width = 16, s.context = 16, s.vocabulary = 300, s.batch = 4, s.steps = 12;
  s.dropout = 0.1, s.warmup = 2, s.eval_every = 4, s.eval_batches = 2, s.save_every = 5, s.sample_every = 0;
  return options;
}

struct Lines {
  std::vector<std::string> all;
  Run::Say say() {
    return [this](std::string_view line) { all.emplace_back(line); };
  }
  bool has(const std::string& begin) const {
    return std::any_of(all.begin(), all.end(),
                       [&](const std::string& line) { return line.starts_with(begin); });
  }
};

volatile std::sig_atomic_t never = 0, at_once = 1;

}  // namespace

TEST_CASE("a run tells what it does and leaves a model, a log and results") {
  const TemporaryDirectory directory;
  Lines lines;
  const auto run = Run::start(small_run(directory / "run"), lines.say());
  CHECK_FALSE(run->done());
  run->train(never);
  CHECK(run->done());
  run->finish();
  for (const char* begin : {"text       built-in stories", "model      1 layers", "first loss", "step     12",
                            "A story by this model:"})
    CHECK_MESSAGE(lines.has(begin), begin);
  for (const char* name :
       {"best/model.safetensors", "last/optimizer.safetensors", "loss.svg", "results.json"})
    CHECK_MESSAGE(std::filesystem::exists(directory / "run" + "/" + name), name);
}

TEST_CASE("a run that is stopped and resumed ends with the bits of one that is not") {
  const TemporaryDirectory directory;
  Lines lines;
  Run::start(small_run(directory / "whole"), lines.say())->train(never);
  Run::start(small_run(directory / "parts"), lines.say())->train(at_once);
  const auto resumed = Run::resume(directory / "parts", lines.say());
  CHECK(lines.has("resuming   at step 0 of 12"));
  resumed->train(never);
  for (const char* name :
       {"/last/model.safetensors", "/last/optimizer.safetensors", "/best/model.safetensors"})
    CHECK_MESSAGE(read_file((directory / "whole") + name) == read_file((directory / "parts") + name), name);
}

TEST_CASE("a run is one process's: the other is told whose, and takes nothing away") {
  const TemporaryDirectory directory;
  Lines lines;
  const std::string held =
      fmt::format("the run '{}' is in use by process {} on ", directory / "run", ::getpid());
  const auto message = [](const auto& action) -> std::string {
    try {
      action();
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  {
    const auto run = Run::start(small_run(directory / "run"), lines.say());
    CHECK(message([&] { Run::start(small_run(directory / "run"), lines.say()); }).starts_with(held));
    run->train(never);
    CHECK(message([&] { Run::resume(directory / "run", lines.say()); }).starts_with(held));
  }
  CHECK_NOTHROW(Run::resume(directory / "run", lines.say()));
  CHECK(message([&] { Run::start(small_run(directory / "run"), lines.say()); }).find("is a run already") !=
        std::string::npos);
}

TEST_CASE("runs of one name that start together get the next free one each") {
  const TemporaryDirectory directory;
  Lines lines;
  RunOptions options = small_run(directory / "runs/tiny");
  options.numbered = true;
  const auto first = Run::start(options, lines.say()), second = Run::start(options, lines.say()),
             third = Run::start(options, lines.say());
  CHECK(first->directory() == directory / "runs/tiny");
  CHECK(second->directory() == directory / "runs/tiny-2");
  CHECK(third->directory() == directory / "runs/tiny-3");
  options.data = directory / "no such text";
  CHECK_THROWS_AS(Run::start(options, lines.say()), Error);
  CHECK_FALSE(std::filesystem::exists(directory / "runs/tiny-4"));
  CHECK(std::filesystem::exists(directory / "runs/tiny-3/data/train.bin"));
}

TEST_CASE("a run does not go on with other data than it began with") {
  const TemporaryDirectory directory;
  Lines lines;
  Run::start(small_run(directory / "run"), lines.say())->train(at_once);
  const std::string file = directory / "run/data/train.bin", good = read_file(file);
  std::string changed = good;
  std::swap(changed[1000], changed[1002]);
  std::swap(changed[1001], changed[1003]);
  REQUIRE(changed != good);
  write_file(file, changed);
  std::string message;
  try {
    Run::resume(directory / "run", lines.say());
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK_MESSAGE(message.find("cannot go on: its data in") != std::string::npos, message);
  write_file(file, good);
  CHECK_NOTHROW(Run::resume(directory / "run", lines.say()));
}

TEST_CASE("a first loss that no fresh model has is refused, and its check can be switched off") {
  Settings settings;
  settings.vocabulary = 300, settings.width = 64;
  const double expected = std::log(300.0), nan = std::numeric_limits<double>::quiet_NaN();
  for (const double loss : {expected - 1.5, expected, expected + 0.5})
    CHECK_NOTHROW(check_first_loss(loss, settings));
  for (const double loss : {0.0, expected - 2.5, expected + 1, nan}) {
    settings.check_first_loss = true;
    CHECK_THROWS_WITH_AS(check_first_loss(loss, settings), doctest::Contains("something is wrong"), Error);
    settings.check_first_loss = false;
    CHECK_NOTHROW(check_first_loss(loss, settings));
  }
  settings.check_first_loss = true, settings.width = 4096;  // whose scores differ by chance
  CHECK_NOTHROW(check_first_loss(expected + 1, settings));
}

TEST_CASE("a file system that cannot exchange two directories is found out before the first step") {
  const TemporaryDirectory directory;
  for (const bool resumed : {false, true}) {
    Lines lines;
    os::faults() = {.refuse_exchange = EINVAL};
    const auto run = resumed ? Run::resume(directory / "run", lines.say())
                             : Run::start(small_run(directory / "run"), lines.say());
    CHECK(lines.has("files      the file system cannot exchange two directories"));
    run->train(at_once);
    os::faults() = {};
  }
}

TEST_CASE("the first loss may be what a fresh model's can be") {
  const TemporaryDirectory directory;
  Lines lines;
  std::string repeated, various;
  for (int i = 0; i < 20'000; ++i) repeated += " again";
  for (int i = 0; i < 20'000; ++i) various += static_cast<char>(33 + (i * i + i / 7) % 89);
  write_file(directory / "repeated.txt", repeated);
  write_file(directory / "various.txt", various);
  for (const char* text : {"repeated.txt", "various.txt"})
    for (const int64_t width : {16, 512}) {
      CAPTURE(text);
      CAPTURE(width);
      RunOptions options = small_run(directory / "run-" + text + std::to_string(width));
      options.data = directory / text;
      options.settings.width = width;
      options.settings.context = width == 16 ? 16 : 32, options.settings.batch = 2,
      options.settings.dropout = 0;
      options.settings.steps = 1;
      CHECK_NOTHROW(Run::start(options, lines.say())->train(never));
    }
}

TEST_CASE("a run begins in a directory of its own, and takes nothing of others") {
  const TemporaryDirectory directory;
  Lines lines;
  for (const std::string theirs : {"best/model.safetensors", "base/notes", "trial/notes", "data/train.bin"}) {
    const std::string run = directory / std::filesystem::path(theirs).parent_path();
    make_directory(run + "/" + std::filesystem::path(theirs).parent_path().string());
    write_file(run + "/" + theirs, "mine");
    CHECK_THROWS_WITH_AS(Run::start(small_run(run), lines.say()),
                         doctest::Contains("a run begins in a directory of its own"), Error);
    CHECK(read_file(run + "/" + theirs) == "mine");
  }
  // An empty one will do, and one in which a run ended before its first checkpoint.
  const std::string run = directory / "run";
  make_directory(run);
  Run::start(small_run(run), lines.say());
  CHECK(std::filesystem::exists(run + "/data"));
  make_directory(run + "/trial");
  write_file(run + "/trial/notes", "mine");
  Run::start(small_run(run), lines.say())->train(at_once);
  Run::resume(run, lines.say());
  CHECK(read_file(run + "/trial/notes") == "mine");
  // Somebody else's file of that name is no mark.
  const std::string other = directory / "other";
  make_directory(other + "/best");
  write_file(other + "/run.json", R"({"mine": 1})");
  CHECK_THROWS_AS(Run::start(small_run(other), lines.say()), Error);
  CHECK(read_file(other + "/run.json") == R"({"mine": 1})");
}

TEST_CASE("a run that ended before its first checkpoint leaves the next one in its directory no models") {
  const TemporaryDirectory directory;
  Lines lines;
  const std::string run = directory / "run";
  make_directory(run);
  write_file(run + "/run.json.part", "{");  // which is all that a kill left
  Run::start(small_run(run), lines.say());
  for (const char* model : {"best", "broken", "step-000000004", "step-000000008.new", "base.next"}) {
    make_directory(run + "/" + model);
    write_file(run + "/" + model + "/of", "another run");
  }
  make_directory(run + "/step-");  // somebody's
  RunOptions options = small_run(run);
  options.from.from = run + "/best";
  CHECK_THROWS_WITH_AS(Run::start(options, lines.say()), doctest::Contains("lies in"), Error);
  CHECK(read_file(run + "/best/of") == "another run");
  Run::start(small_run(run), lines.say());
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    CAPTURE(entry.path().string());
    CHECK_FALSE(std::filesystem::exists(entry.path() / "of"));
  }
  CHECK(std::filesystem::exists(run + "/step-"));
}

TEST_CASE("a warm-up longer than the run is shortened, and a line says so") {
  const TemporaryDirectory directory;
  Lines lines;
  RunOptions options = small_run(directory / "run");
  options.settings.warmup = 100;
  Run::start(options, lines.say());
  CHECK(lines.has("warm-up    12 steps, which are all there are, not 100"));
}

TEST_CASE("what cannot start leaves nothing behind, and takes nothing away") {
  const TemporaryDirectory directory;
  Lines lines;
  RunOptions options = small_run(directory / "a/run");
  options.data = directory / "no such text";
  CHECK_THROWS_AS(Run::start(options, lines.say()), Error);
  CHECK_FALSE(std::filesystem::exists(directory / "a"));
  make_directory(directory / "a/run");
  CHECK_THROWS_AS(Run::start(options, lines.say()), Error);
  CHECK(std::filesystem::exists(directory / "a/run"));
}
