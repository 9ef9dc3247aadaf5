// Mistakes on purpose: each is seen by a curve outside the band of sound ones, but for two that a curve need
// not show.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "apps/run/evaluation.h"
#include "apps/run/family.h"
#include "apps/run/faults.h"
#include "apps/run/trainer.h"
#include "data/stories.h"
#include "nn/adapt.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

namespace {

// Built-in stories, a token a byte.
std::vector<uint16_t> bytes(uint64_t first, uint64_t stories) {
  std::vector<uint16_t> ids;
  for (uint64_t i = 0; i < stories; ++i) {
    for (const char letter : built_in_stories().story(1, first + i))
      ids.push_back(static_cast<uint8_t>(letter));
    ids.push_back(0);
  }
  return ids;
}

Settings small(const std::string& fault, int64_t seed) {
  Settings settings;
  settings.layers = 2, settings.heads = 2, settings.width = 32, settings.context = 32,
  settings.vocabulary = 256;
  settings.batch = 16, settings.steps = 100, settings.warmup = 10, settings.rate = 5e-3, settings.seed = seed;
  settings.fault = fault;
  return settings;
}

struct Losses {
  double train, valid;  // of the last ten steps, and after them
};

Losses losses_of(const std::string& fault, int64_t seed = 1) {
  static const std::vector<uint16_t> train = bytes(0, 300), valid = bytes(1000, 12);
  const Settings settings = small(fault, seed);
  const std::unique_ptr<LanguageModel> model = make_model(settings, with_fault(default_backend(), fault));
  Random random{static_cast<uint64_t>(seed)};
  model->initialise(random);
  Trainer trainer(settings, *model, train);
  Losses losses{0, NAN};
  try {
    for (int i = 0; i < 100; ++i) {
      const double loss = trainer.step().loss;
      if (i >= 90) losses.train += loss / 10;
    }
    losses.valid = evaluate(*model, valid, {.batch = 16}).loss;
  } catch (const Error& error) {  // numbers that are none are seen, too; any other error is one of ours
    const bool of_numbers = dynamic_cast<const NotFinite*>(&error) ||
                            std::string(error.what()).find("weights are broken") != std::string::npos;
    CHECK_MESSAGE(of_numbers, error.what());
    losses.train = NAN;
  }
  return losses;
}

}  // namespace

TEST_CASE("every fault that can be told from its curve is outside the band of sound runs") {
  std::vector<Losses> sound;
  for (const int64_t seed : {1, 2, 3}) sound.push_back(losses_of("none", seed));
  const auto [least, most] = std::minmax_element(
      sound.begin(), sound.end(), [](const auto& a, const auto& b) { return a.valid < b.valid; });
  const auto [least_train, most_train] = std::minmax_element(
      sound.begin(), sound.end(), [](const auto& a, const auto& b) { return a.train < b.train; });
  CHECK(most->valid - least->valid <= 0.15);
  const double margin = most->valid - least->valid + 0.02;
  // These only comparisons with numbers from elsewhere find: tests/nn/test_golden.cpp,
  // tests/optim/test_training.cpp.
  const std::set<std::string> not_told = {"no_scale", "tied_twice"};
  for (const Fault& fault : faults()) {
    CAPTURE(std::string(fault.name));
    const Losses losses = losses_of(fault.name);
    const auto inside = [&](double loss, double low, double high) {
      return loss >= low - margin && loss <= high + margin;
    };
    const bool seen = !inside(losses.valid, least->valid, most->valid) ||
                      !inside(losses.train, least_train->train, most_train->train);
    CAPTURE(losses.train);
    CAPTURE(losses.valid);
    CHECK((seen || not_told.contains(fault.name)));
  }
}

TEST_CASE("what is too good to be true, and what only validation shows") {
  CHECK(losses_of("mask_off_by_one").valid < losses_of("none").valid - 0.05);
  CHECK(losses_of("not_shifted").train < 0.2);
  CHECK(losses_of("other_tokenizer").valid > 5);
}

TEST_CASE("a mistake in what is not there is refused by name") {
  const auto refused = [](const std::string& fault, const std::string& setting, const std::string& why) {
    Settings settings;
    set(settings, setting);
    settings.fault = fault;
    CHECK_THROWS_WITH_AS(check_settings(settings), why.c_str(), Error);
  };
  for (const char* fault : {"no_norm", "no_gelu"})
    refused(fault, "family=llama",
            fmt::format("fault={}: family llama has no such part; there is nothing to break", fault));
  for (const char* fault : {"not_cleared", "wrong_sign", "no_update", "no_bias_correction", "tied_twice"})
    refused(fault, "optimizer=sgd",
            fmt::format("fault={}: it is in the step of adamw, not in that of sgd", fault));
  Settings untied;
  set(untied, "family=llama"), set(untied, "tied=false"), untied.fault = "tied_twice";
  CHECK_THROWS_WITH_AS(check_settings(untied),
                       "fault=tied_twice: with tied=false the table of tokens is no head", Error);
  // What is not refused changes what a model of that family learns.
  for (const Fault& fault : faults()) {
    CAPTURE(std::string(fault.name));
    Settings settings = small(fault.name, 1);
    settings.family = "llama", settings.bias = false, settings.steps = 3, settings.rate = 1e-2;
    settings.warmup = 0;
    try {
      check_settings(settings);
    } catch (const Error&) {
      continue;
    }
    const auto learned = [&](const std::string& name) {
      settings.fault = name;
      const std::unique_ptr<LanguageModel> model = make_model(settings, with_fault(default_backend(), name));
      Random random{1};
      model->initialise(random);
      static const std::vector<uint16_t> text = bytes(0, 100);
      Trainer trainer(settings, *model, text);
      for (int i = 0; i < 3; ++i) trainer.step();
      std::vector<float> numbers;
      for (const Parameter& each : parameters(*model))
        for (const float x : each.variable.value().to_vector<float>()) numbers.push_back(x);
      return numbers;
    };
    CHECK(learned(fault.name) != learned("none"));
  }
}

TEST_CASE("--break says so, goes into the settings, and a name that is none is refused") {
  const TemporaryDirectory directory;
  const std::string before = "cd " + directory.path + ";";
  const std::string small =
      "train --stories 100 --set layers=1 --set heads=2 --set width=16 --set context=16 --set vocabulary=300 "
      "--set steps=4 --set eval_every=0 --set sample_every=0 --run r ";
  const Outcome outcome = run_program(small + "--break no_scale", before);
  CAPTURE(outcome.output);
  CHECK(outcome.code == 0);
  CHECK(outcome.output.find("BROKEN     on purpose: no_scale") != std::string::npos);
  const Outcome replayed = run_program("replay r --step 3", before);
  CHECK(replayed.output.find("says the same, bit for bit") != std::string::npos);
  const Outcome shared = run_program(small + "--break no_scale --workers 2", before);
  CHECK(shared.code == 2);
  CHECK(shared.output.find("fault=no_scale: a mistake on purpose is for one worker; leave out --workers") !=
        std::string::npos);
  const Outcome unknown = run_program(small + "--break no_such", before);
  CHECK(unknown.code == 2);
  CHECK(unknown.output.find("setting fault cannot be no_such; allowed: none, no_mask") != std::string::npos);
}
