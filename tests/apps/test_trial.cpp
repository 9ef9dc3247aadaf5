// The looks before a run: a sound run passes each, and each mistake is found by its own line.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/run/corpus.h"
#include "apps/run/trial.h"
#include "program.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static Settings small() {
  Settings settings;
  for (const char* assignment :
       {"layers=1", "heads=2", "width=32", "context=32", "batch=4", "rate=1e-2", "vocabulary=400"})
    set(settings, assignment);
  return settings;
}

static TrainingData data_of(const std::string& directory, const TextSource& train,
                            const TextSource& valid = {}) {
  const Prepared prepared = prepare(
      {.train = train, .valid = valid, .valid_share = 0.1, .vocabulary = 400, .directory = directory});
  CHECK(prepared.train.tokens > 0);
  return open_training_data(directory);
}

// The lines that say WRONG.
static std::string wrong_lines(const Settings& settings, const TrainingData& data) {
  std::string wrong;
  const int count = check_training(settings, data, [&](std::string_view line) {
    if (line.starts_with("WRONG")) wrong += std::string(line) + "\n";
  });
  CHECK(count == std::count(wrong.begin(), wrong.end(), '\n'));
  return wrong;
}

TEST_CASE("check: a sound run passes, mistakes are found") {
  const TemporaryDirectory directory;
  const TrainingData stories = data_of(directory / "stories", built_in_source(300, 1));
  CHECK(wrong_lines(small(), stories) == "");

  Settings timid = small();
  timid.rate = 1e-7;
  CHECK(wrong_lines(timid, stories).find("one batch") != std::string::npos);
  Settings wild = small();
  wild.rate = 10;
  CHECK(wrong_lines(wild, stories).find("one batch") != std::string::npos);

  // Mistakes on purpose are made here too: of the backend, and of batches.
  Settings broken = small();
  broken.fault = "no_update";
  CHECK(wrong_lines(broken, stories).find("one batch") != std::string::npos);
  broken.fault = "no_gelu";  // which the check does not see
  CHECK(wrong_lines(broken, stories) == "");

  const TrainingData leaky = data_of(directory / "leaky", built_in_source(300, 1), built_in_source(20, 1));
  CHECK(wrong_lines(small(), leaky).find("the validation text is part of") != std::string::npos);
}

TEST_CASE("find-rate: the loss falls, then explodes, and the suggestion lies between") {
  const TemporaryDirectory directory;
  const TrainingData stories = data_of(directory / "stories", built_in_source(300, 1));
  const RateCurve curve = find_rate(small(), stories, 60);
  CHECK(curve.rates.size() == curve.smoothed.size());
  CHECK(curve.suggestion > 1e-4);
  CHECK(curve.suggestion < 0.1);
  const double lowest = *std::min_element(curve.smoothed.begin(), curve.smoothed.end());
  CHECK(lowest < 0.9 * curve.smoothed.front());
  CHECK(svg(plot_of(curve)).find("A rate to try") != std::string::npos);
}

TEST_CASE("a look trains as a run with these settings would") {
  const TemporaryDirectory directory;
  const TrainingData stories = data_of(directory / "stories", built_in_source(300, 1));
  const auto losses = [&](const std::string& assignment) {
    Settings settings = small();
    set(settings, assignment);
    return find_rate(settings, stories, 12).losses;
  };
  const std::vector<double> usual = losses("seed=1");
  CHECK(losses("seed=1") == usual);
  for (const std::string assignment :
       {"optimizer=sgd", "precision=bf16", "label_smoothing=0.2", "dropout=0.2", "accumulation=2",
        "answer_after=.", "beta1=0.5", "fault=two_ahead"}) {
    CAPTURE(assignment);
    CHECK(losses(assignment) != usual);
  }

  // At this rate AdamW learns a batch by heart, and SGD does not.
  Settings settings = small();
  set(settings, "optimizer=sgd");
  CHECK(wrong_lines(settings, stories).find("one batch") != std::string::npos);
  set(settings, "rate=0.1");
  CHECK(wrong_lines(settings, stories) == "");
  // Half of what is left of smoothed labels is all that can be learned of them.
  for (const std::string assignment :
       {"label_smoothing=0.6", "dropout=0.3", "precision=bf16", "precision=f16"}) {
    CAPTURE(assignment);
    settings = small();
    set(settings, assignment);
    CHECK(wrong_lines(settings, stories) == "");
  }
}

TEST_CASE("a look at answers that few batches have passes over those without") {
  const TemporaryDirectory directory;
  std::string text;
  for (int i = 0; i < 1200; ++i)
    text +=
        fmt::format("{}The dog ran to tree {} and sat.\n<|endoftext|>\n", i % 50 == 49 ? "Ask. " : "", i % 7);
  write_file(directory / "text.txt", text);
  const TrainingData data = data_of(directory / "tokens", text_source(directory / "text.txt"));
  Settings settings = small();
  settings.batch = 1;
  settings.answer_after = "Ask.";
  CHECK(wrong_lines(settings, data).find("birth") == std::string::npos);
  CHECK(wrong_lines(settings, data).find("one batch") == std::string::npos);
  const RateCurve curve = find_rate(settings, data, 60);
  CHECK(std::ranges::count(curve.losses, 0.0) == 0);
}

TEST_CASE("train --check leaves nothing behind") {
  const TemporaryDirectory directory;
  const std::string settings =
      " --stories 200 --set layers=1 --set width=32 --set context=32 --set batch=4 --set vocabulary=600 "
      "--set rate=0.01";
  const Outcome outcome = run_program("train --check" + settings, "cd " + directory.path + ";");
  CAPTURE(outcome.output);
  CHECK(outcome.code == 0);
  CHECK(outcome.output.find("ok      gradients") != std::string::npos);
  CHECK(std::filesystem::is_empty(directory.path));
  const Outcome refused =
      run_program("train --find-rate --set learn=lora" + settings, "cd " + directory.path + ";");
  CHECK(refused.code == 2);
  CHECK(refused.output.find(
            "--check and --find-rate look at a new model; learn=lora is for one that is there") !=
        std::string::npos);
}

TEST_CASE("train --check that is interrupted, early or late, leaves nothing behind") {
  for (const char* seconds : {"0.05", "0.5", "2"}) {
    CAPTURE(seconds);
    const TemporaryDirectory directory;
    const Outcome outcome = run_program("train --check --stories 3000 --set width=256",
                                        "cd " + directory.path + "; timeout --foreground -s INT " + seconds);
    CAPTURE(outcome.output);
    CHECK(outcome.code != 0);
    CHECK(std::filesystem::is_empty(directory.path));
  }
}
