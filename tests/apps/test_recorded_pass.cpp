// A training step from recordings gives the bits of one done call by call: with dropout, whose random numbers
// go on, and with batches that add up.
#include <doctest/doctest.h>

#include "apps/run/evaluation.h"
#include "apps/run/family.h"
#include "apps/run/trainer.h"
#include "tests/support/run_case.h"

using namespace chapbook;

static Settings small() {
  Settings settings;
  settings.layers = 1, settings.heads = 2, settings.width = 8, settings.context = 6, settings.vocabulary = 30;
  settings.batch = 2, settings.steps = 5, settings.warmup = 1, settings.rate = 1e-2;
  return settings;
}

// The losses, and in the end the weights.
static std::vector<double> run(const Settings& settings, Backend& backend, bool& recorded) {
  Random random{3};
  std::vector<uint16_t> tokens(500);
  for (uint16_t& token : tokens) token = static_cast<uint16_t>(random.below(settings.vocabulary));
  const std::unique_ptr<LanguageModel> model = make_model(settings, backend);
  model->initialise(random);
  std::vector<double> numbers;
  {
    Trainer trainer(settings, *model, tokens);
    for (int64_t i = 0; i < settings.steps; ++i) {
      numbers.push_back(trainer.step().loss);
      // What is computed between two steps must not disturb them, nor be disturbed.
      const Tensor between = Tensor::full({64, 8}, static_cast<double>(i), DType::f32, backend);
      numbers.push_back(evaluate(*model, tokens, {.batch = 2, .batches = 1}).loss);
      CHECK(between.to_vector<float>() == std::vector<float>(64 * 8, static_cast<float>(i)));
    }
    recorded = trainer.recorded();
  }
  for (const auto& [name, tensor] : state(*model))
    for (const double number : tensor.to_vector<double>()) numbers.push_back(number);
  return numbers;
}

TEST_CASE("steps from a recording give the same bits") {
  struct Kind {
    int64_t accumulation;
    bool recompute;
    const char* precision;
  };
  for (Backend* backend : tested_backends())
    for (const Kind& kind : {Kind{1, false, "f32"}, Kind{3, true, "f32"}, Kind{3, false, "f16"}}) {
      CAPTURE(backend->name());
      CAPTURE(kind.accumulation);
      CAPTURE(kind.precision);
      Settings settings = small();
      settings.dropout = 0.2;
      settings.accumulation = kind.accumulation;
      settings.recompute = kind.recompute;
      settings.precision = kind.precision;
      settings.graph = false;
      bool recorded;
      const auto wanted = run(settings, *backend, recorded);
      CHECK(!recorded);
      settings.graph = true;
      CHECK(run(settings, *backend, recorded) == wanted);
      CHECK(recorded == (backend->name() == "cuda" || backend->name() == "simt"));
    }
}
