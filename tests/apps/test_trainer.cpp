// The trainer: accumulation equals a larger batch, the same seed gives the same bits, and what an evaluation
// counts.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <numbers>

#include "apps/run/evaluation.h"
#include "apps/run/family.h"
#include "apps/run/trainer.h"
#include "tensor/reference/reference_backend.h"
#include "tests/apps/little_run.h"

using namespace chapbook;

static std::unique_ptr<LanguageModel> fresh(const Settings& settings) {
  std::unique_ptr<LanguageModel> model = make_model(settings);
  Random random{1};
  model->initialise(random);
  return model;
}

static std::vector<double> losses(const Settings& settings, int64_t steps) {
  const std::vector<uint16_t> data = little_tokens(2000);
  const auto gpt = fresh(settings);
  Trainer trainer(settings, *gpt, data);
  std::vector<double> result;
  for (int64_t i = 0; i < steps; ++i) result.push_back(trainer.step().loss);
  return result;
}

TEST_CASE("the same seed gives the same bits, and another seed others") {
  Settings settings = little_settings();
  settings.dropout = 0.2;
  const std::vector<double> first = losses(settings, 10);
  CHECK(first == losses(settings, 10));
  settings.recompute = true;
  CHECK(first == losses(settings, 10));
  settings.seed = 2;
  CHECK(first != losses(settings, 10));
}

TEST_CASE("accumulated batches are one larger batch") {
  Settings whole = little_settings(), halves = little_settings();
  halves.batch = 4;
  halves.accumulation = 2;
  // SGD, because AdamW does not see a gradient's scale. With a clip that always acts, so that the norm of the
  // mean gradient must be right; and without, as a gradient that is clipped has lost the share that a mean
  // gave it.
  whole.optimizer = halves.optimizer = "sgd";
  for (const double clip : {0.1, 0.0}) {
    CAPTURE(clip);
    whole.clip = halves.clip = clip;
    whole.rate = halves.rate = clip > 0 ? 0.5 : 0.1;
    const std::vector<double> a = losses(whole, 20), b = losses(halves, 20);
    // The sums are split in two, so f32 rounds them otherwise: a few units in the last place, grown over the
    // steps.
    for (size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 1e-4 * a[i]);
    CHECK(a.back() < a.front() - 0.1);
  }
}

TEST_CASE("an evaluation counts each target once, whatever the batch") {
  const Settings settings = little_settings();
  const std::vector<uint16_t> data = little_tokens(100);
  const auto gpt = fresh(settings);
  // By hand: windows of 12 inputs from 0, 12, ..., the last of 3.
  double total = 0;
  for (int64_t start = 0; start < 99; start += 12) {
    const int64_t length = std::min<int64_t>(12, 99 - start);
    const std::vector<int32_t> inputs(data.begin() + start, data.begin() + start + length);
    const std::vector<int32_t> targets(data.begin() + start + 1, data.begin() + start + length + 1);
    total += gpt->loss(Tensor::from(inputs, {1, length}), Tensor::from(targets, {1, length})).value().item() *
             double(length);
  }
  for (const int64_t batch : {1, 4, 16}) {
    const Score score = evaluate(*gpt, data, {.batch = batch});
    CHECK(score.targets == 99);
    CHECK(std::abs(score.loss - total / 99) <= 1e-6 * score.loss);
  }
  CHECK(evaluate(*gpt, data, {.batch = 2, .batches = 2}).targets == 48);
}

TEST_CASE("an evaluation after a step with dropout drops nothing") {
  const std::vector<uint16_t> data = little_tokens(2000);
  Settings settings = little_settings();
  settings.dropout = 0.5;
  const auto trained = fresh(settings);
  Trainer trainer(settings, *trained, data);
  trainer.step();
  settings.dropout = 0;
  const auto whole = fresh(settings);
  load(*whole, state(*trained));
  CHECK(evaluate(*trained, data).loss == evaluate(*whole, data).loss);
}

TEST_CASE("bits per byte: nats become bits, tokens become bytes") {
  CHECK(std::abs(bits_per_byte({std::numbers::ln2, 0}, 10, 10) - 1) <= 1e-12);
  CHECK(std::abs(bits_per_byte({2 * std::numbers::ln2, 0}, 10, 40) - 0.5) <= 1e-12);
}

TEST_CASE("every schedule rises in the warm-up and ends where it should") {
  Settings settings = little_settings();
  settings.steps = 105, settings.rate = 1, settings.min_rate = 0.1;
  for (const char* name : {"constant", "linear", "cosine", "wsd", "restarts"}) {
    CAPTURE(name);
    settings.schedule = name;
    const Schedule schedule = make_schedule(settings);
    CHECK(schedule(0) > 0);
    CHECK(schedule(0) < 0.3);
    CHECK(schedule(5) == 1);
    const double last = schedule(104);
    if (settings.schedule == "constant")
      CHECK(last == 1);
    else
      CHECK(last < 0.2);
  }
}

TEST_CASE("a loss that is no number ends the training with a word on what to do") {
  const std::vector<uint16_t> data = little_tokens(2000);
  const Settings settings = little_settings();
  const auto gpt = fresh(settings);
  const Tensor weight = parameters(*gpt).front().variable.value();
  weight.backend().fill(weight.view(), std::nan(""));
  Trainer trainer(settings, *gpt, data);
  try {
    trainer.step();
    FAIL("a NaN went through");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("step 1: the loss is nan") != std::string::npos);
  }
  // The update was on its way by then, and left all other weights as they were.
  const auto untouched = fresh(settings);
  const auto last = [](LanguageModel& of) {
    return parameters(of).back().variable.value().to_vector<float>();
  };
  CHECK(last(*gpt) == last(*untouched));
}

TEST_CASE("in bf16 and f16 ten steps stay beside f32's, and the same seed gives the same bits") {
  Settings settings = little_settings();
  settings.dropout = 0.1, settings.accumulation = 2;
  const std::vector<double> exact = losses(settings, 10);
  for (const std::string precision : {"bf16", "f16"}) {
    CAPTURE(precision);
    settings.precision = precision;
    const std::vector<double> first = losses(settings, 10);
    settings.recompute = true;
    CHECK(first == losses(settings, 10));
    settings.recompute = false;
    CHECK(first != exact);
    double worst = 0;
    for (size_t i = 0; i < exact.size(); ++i) worst = std::max(worst, std::abs(first[i] / exact[i] - 1));
    // A hidden state is rounded to 2^-9 of itself (bf16) or 2^-12 (f16), some twenty times on the way to the
    // loss; most of that averages out over 192 targets.
    CHECK(worst <= (precision == "bf16" ? 0x1p-11 : 0x1p-14));
    MESSAGE(precision, ": losses within ", worst);
  }
}

TEST_CASE("in bf16 and f16 a model learns as much as in f32") {
  Settings settings = little_settings();
  settings.steps = 200;
  const double chance = std::log(3.0), exact = losses(settings, 200).back();  // one of three tokens follows
  CHECK(exact <= chance + 0.15);
  for (const std::string precision : {"bf16", "f16"}) {
    CAPTURE(precision);
    settings.precision = precision;
    CHECK(losses(settings, 200).back() <= exact + 0.02);
  }
}

// The trainer's state, optimizer and weights, as a checkpoint keeps them.
struct SavedTraining {
  nlohmann::ordered_json trainer;
  NamedTensors optimizer, weights;
  SavedTraining(const Trainer& from, LanguageModel& model)
      : trainer(from.state()), optimizer(from.optimizer_state()), weights(state(model)) {
    for (NamedTensors* tensors : {&optimizer, &weights})
      for (auto& [name, tensor] : *tensors) tensor = tensor.contiguous_copy();
  }
  void restore(Trainer& to, LanguageModel& model) const {
    load(model, weights);
    to.restore(trainer, optimizer);
  }
};

TEST_CASE(
    "an overflow in f16 passes batches over and halves the scale; resuming goes on from there, bit for bit") {
  const std::vector<uint16_t> data = little_tokens(2000);
  Settings settings = little_settings();
  settings.precision = "f16";
  const auto gpt = fresh(settings), again = fresh(settings);
  Trainer trainer(settings, *gpt, data), resumed(settings, *again, data);
  const auto scale = [](const Trainer& of) { return of.state().at("loss_scaler").at("scale").get<double>(); };
  trainer.step();
  CHECK(scale(trainer) == 65536);

  SavedTraining saved(trainer, *gpt);
  saved.trainer["loss_scaler"] = {{"scale", std::ldexp(1.0, 60)}, {"good_steps", 7}};
  saved.restore(trainer, *gpt);
  saved.restore(resumed, *again);
  const Trainer::Step step = trainer.step();  // many batches, one update
  CHECK(trainer.steps() == 2);
  CHECK(step.gradient_norm < 10);
  CHECK(scale(trainer) < std::ldexp(1.0, 60));
  CHECK(trainer.state().at("loss_scaler").at("good_steps") == 1);
  CHECK(trainer.state().at("loader") != saved.trainer.at("loader"));
  resumed.step();
  SavedTraining(trainer, *gpt).restore(resumed, *again);
  for (int i = 0; i < 5; ++i) {
    const Trainer::Step a = trainer.step(), b = resumed.step();
    CHECK(a.loss == b.loss);
    CHECK(a.gradient_norm == b.gradient_norm);
  }
  CHECK(trainer.state() == resumed.state());
}

TEST_CASE("gradients that no scale can save end the training in f16 too") {
  const std::vector<uint16_t> data = little_tokens(2000);
  Settings settings = little_settings();
  settings.precision = "f16";
  const auto gpt = fresh(settings);
  const Tensor weight = parameters(*gpt).front().variable.value();
  weight.backend().fill(weight.view(), std::nan(""));
  Trainer trainer(settings, *gpt, data);
  CHECK_THROWS_AS(trainer.step(), Error);
}

TEST_CASE("a precision the backend does not have is refused in one line") {
  struct Plain final : ReferenceBackend {
    bool trains_in(DType dtype) const override { return dtype == DType::f32; }
  } plain;
  Settings settings = little_settings();
  CHECK(checked_precision(settings, plain) == DType::f32);
  settings.precision = "bf16";
  CHECK_THROWS_WITH_AS(
      checked_precision(settings, plain),
      "precision bf16: the backend 'reference' cannot train in it here; f32 works everywhere", Error);
}

TEST_CASE("a state that nobody saved is refused") {
  const std::vector<uint16_t> data = little_tokens(2000);
  const auto gpt = fresh(little_settings());
  Trainer trainer(little_settings(), *gpt, data);
  SavedTraining saved(trainer, *gpt);
  const nlohmann::ordered_json good = saved.trainer;
  for (const auto& [name, value] : {std::pair<const char*, Json>{"step", -1},
                                    {"step", little_settings().steps + 1},
                                    {"step", "1"},
                                    {"loader", 7},
                                    {"loader", {{"seed", 1}, {"epoch", 0}}},
                                    {"loader", {{"seed", 1}, {"epoch", 0}, {"position", -1}}},
                                    {"dropout_counter", Json::array()}}) {
    CAPTURE(name);
    CAPTURE(value.dump());
    saved.trainer = good;
    saved.trainer[name] = value;
    CHECK_THROWS_AS(saved.restore(trainer, *gpt), Error);
  }
  saved.trainer = good;
  CHECK_NOTHROW(saved.restore(trainer, *gpt));
}
