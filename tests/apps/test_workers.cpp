// Several workers: the bits of one, with what is computed in any precision, with accumulation, dropout and a
// norm that clips; from one number of workers to another; and what they send and hold.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <functional>
#include <mutex>

#include "apps/run/evaluation.h"
#include "apps/run/family.h"
#include "apps/run/run.h"
#include "apps/run/trainer.h"
#include "tensor/files.h"
#include "tests/apps/little_run.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/thread_team.h"

using namespace chapbook;

static Settings small() {
  Settings settings = little_settings();
  settings.batch = 4, settings.steps = 50, settings.shards = 8, settings.accumulation = 8,
  settings.dropout = 0.1, settings.clip = 0.5;
  return settings;
}

// All that a checkpoint has.
struct Saved {
  nlohmann::ordered_json trainer;
  NamedTensors optimizer;
  std::vector<std::vector<float>> weights, moments;
  std::vector<double> losses;
};

// So many steps by so many workers, from the beginning or from what was saved.
static Saved train(const Settings& settings, int workers, int64_t steps, const Saved* from = nullptr,
                   bool overlap = true) {
  static const std::vector<uint16_t> data = little_tokens(3000);
  Saved saved;
  std::mutex mutex;
  std::vector<std::vector<float>> of_another;
  in_threads(workers, [&](Team& team) {
    const auto model = make_model(settings);
    Random random{1};
    model->initialise(random);
    Trainer trainer(settings, *model, data, team);
    trainer.overlap(overlap);
    if (from) {
      const auto all = parameters(*model);
      for (size_t i = 0; i < all.size(); ++i) {
        Tensor value = all[i].variable.value();
        value.upload(from->weights[i].data());
      }
      trainer.restore(from->trainer, from->optimizer);
    }
    std::vector<double> losses;
    for (int64_t i = 0; i < steps; ++i) losses.push_back(trainer.step().loss);
    const NamedTensors optimizer = trainer.optimizer_state();
    std::vector<std::vector<float>> weights;
    for (const Parameter& parameter : parameters(*model))
      weights.push_back(parameter.variable.value().to_vector<float>());
    std::lock_guard lock(mutex);
    check(of_another.empty() || of_another == weights, "workers have different weights");
    of_another = weights;
    if (team.rank() > 0) return;
    saved = {trainer.state(), optimizer, weights, {}, losses};
    for (const auto& [name, tensor] : optimizer) saved.moments.push_back(tensor.to_vector<float>());
  });
  return saved;
}

static void check_same_bits(const Saved& a, const Saved& b) {
  CHECK(a.weights == b.weights);
  CHECK(a.moments == b.moments);
  CHECK(a.trainer == b.trainer);
  CHECK(a.losses == b.losses);
}

TEST_CASE("1, 2, 4 and 8 workers have the same bits after 50 steps") {
  for (const std::string kind : {"f32", "bf16", "f16", "sgd", "llama", "half a batch", "two batches"}) {
    CAPTURE(kind);
    Settings settings = small();
    if (kind == "bf16" || kind == "f16") settings.precision = kind;
    if (kind == "sgd") settings.optimizer = kind, settings.recompute = true;
    if (kind == "llama") set(settings, "family", "llama"), settings.key_heads = 1, settings.dropout = 0;
    if (kind == "half a batch") settings.accumulation = 4;
    if (kind == "two batches") settings.accumulation = 16, settings.batch = 2;
    check_settings(settings);
    const int64_t steps = kind == "f32" ? 50 : 10;
    const Saved one = train(settings, 1, steps);
    CHECK(one.losses.back() < one.losses.front());
    for (const int workers : {2, 4, 8}) {
      CAPTURE(workers);
      check_same_bits(one, train(settings, workers, steps));
    }
  }
}

TEST_CASE("sums that begin behind the backward pass have the bits of those that wait for its end") {
  for (const std::string kind : {"plain", "recompute", "any", "llama"}) {
    CAPTURE(kind);
    Settings settings = small();
    if (kind == "recompute") settings.recompute = true;
    if (kind == "any") settings.sum = kind;
    if (kind == "llama") set(settings, "family", "llama"), settings.dropout = 0;
    for (const int workers : {2, 8})
      check_same_bits(train(settings, workers, 6, nullptr, true),
                      train(settings, workers, 6, nullptr, false));
  }
}

TEST_CASE("what some workers saved, fewer or more go on with, and end with the bits of 1") {
  const std::vector<int> orders[] = {{4, 2, 1}, {8, 1}, {1, 8, 2}};
  for (const std::string precision : {"f32", "f16"}) {
    Settings settings = small();
    settings.precision = precision;
    const Saved whole = train(settings, 1, 12);
    for (const std::vector<int>& order : orders) {
      const int64_t steps = 12 / std::ssize(order);
      Saved parts = train(settings, order[0], steps);
      for (size_t i = 1; i < order.size(); ++i) parts = train(settings, order[i], steps, &parts);
      CHECK(whole.weights == parts.weights);
      CHECK(whole.moments == parts.moments);
      CHECK(whole.trainer == parts.trainer);
    }
  }
}

TEST_CASE("the cheaper sum: the same bits for as many workers, and the tree's where each has one shard") {
  Settings settings = small();
  const Saved tree = train(settings, 1, 10);
  settings.sum = "any";
  check_same_bits(tree, train(settings, 8, 10));
  for (const int workers : {1, 2, 4}) {
    CAPTURE(workers);
    const Saved any = train(settings, workers, 10);
    check_same_bits(any, train(settings, workers, 10));
    CHECK(any.weights != tree.weights);
    for (size_t i = 0; i < any.losses.size(); ++i)
      CHECK(std::abs(any.losses[i] - tree.losses[i]) <= 1e-4 * tree.losses[i]);
  }
}

// What the first of two workers says who go on with a run of their own each, as on machines that share no
// files.
static std::string going_on(const std::string& first, const std::string& second) {
  try {
    in_threads(2, [&](Team& team) {
      Run::resume(
          team.rank() == 0 ? first : second, [](std::string_view) {}, team);
    });
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a worker with other settings, another seed, other data or another checkpoint is refused") {
  const TemporaryDirectory directory;
  const auto quiet = [](std::string_view) {};
  volatile std::sig_atomic_t at_once = 1, never = 0;
  const auto run = [&](const std::string& name, const std::function<void(RunOptions&)>& change,
                       const volatile std::sig_atomic_t& stop) {
    RunOptions options{.directory = directory / name, .stories = 200, .settings = little_settings()};
    options.settings.vocabulary = 300, options.settings.shards = 2, options.settings.steps = 3;
    change(options);
    Run::start(options, quiet)->train(stop);
  };
  const auto nothing = [](RunOptions&) {};
  run("same", nothing, at_once);
  run("again", nothing, at_once);
  run("further", nothing, never);
  run(
      "seed", [](RunOptions& options) { options.settings.seed = 2; }, at_once);
  run(
      "rate", [](RunOptions& options) { options.settings.rate = 2e-2; }, at_once);
  run(
      "data", [](RunOptions& options) { options.stories = 201; }, at_once);
  CHECK(going_on(directory / "same", directory / "again") == "");
  for (const auto& [name, what] : {std::pair{"seed", "the settings"},
                                   {"rate", "the settings"},
                                   {"data", "the data"},
                                   {"further", "the checkpoint"}})
    CHECK(going_on(directory / "same", directory / name) ==
          fmt::format("worker 1 has not the same as worker 0: {}", what));
  // Weights that are another's, as of a copy that was disturbed.
  std::string weights = read_file(directory / "again/last/model.safetensors");
  weights[weights.size() - 3] ^= 1;
  write_file(directory / "again/last/model.safetensors", weights);
  CHECK(going_on(directory / "same", directory / "again") ==
        "worker 1 has not the same as worker 0: the weights");
}

TEST_CASE("one shard is what it always was: a step without a tree") {
  Settings settings = small();
  settings.shards = 1;
  const Saved plain = train(settings, 1, 10);
  settings.sum = "any";  // of several shards in one worker: the same sums, one after another
  settings.shards = 8;
  const Saved any = train(settings, 1, 10);
  // But for the norm, whose squares are summed in parts.
  for (size_t i = 0; i < plain.losses.size(); ++i)
    CHECK(std::abs(plain.losses[i] - any.losses[i]) <= 1e-5 * plain.losses[i]);
  settings.clip = 0;
  Settings one = settings;
  one.shards = 1;
  CHECK(train(settings, 1, 10).weights == train(one, 1, 10).weights);
}

TEST_CASE("shards are another order of the sum, so other bits, beside the old ones") {
  Settings settings = small();
  settings.dropout = 0;
  const Saved tree = train(settings, 1, 10);
  settings.shards = 1;
  const Saved row = train(settings, 1, 10);
  CHECK(tree.weights != row.weights);
  for (size_t i = 0; i < tree.losses.size(); ++i)
    CHECK(std::abs(tree.losses[i] - row.losses[i]) <= 1e-4 * row.losses[i]);
}

TEST_CASE("the bytes of a step are the formula's, and the optimizer's state is held once by all together") {
  const Settings settings = small();
  const std::vector<uint16_t> data = little_tokens(3000);
  for (const int workers : {1, 2, 4, 8}) {
    CAPTURE(workers);
    std::mutex mutex;
    int64_t sent = 0, numbers = 0;
    std::vector<std::unique_ptr<LanguageModel>> models;
    for (int i = 0; i < workers; ++i) models.push_back(make_model(settings));
    numbers = count_parameters(*models[0]);
    BlockCache& blocks = models[0]->backend().blocks();
    const size_t before = blocks.live_bytes();
    size_t held = 0, after = 0;
    in_threads(workers, [&](Team& team) {
      Trainer trainer(settings, *models[team.rank()], data, team);
      team.barrier();
      if (team.rank() == 0) held = blocks.live_bytes() - before;
      team.barrier();
      trainer.step();
      const int64_t bytes = team.bytes_sent();
      trainer.step();
      team.barrier();
      if (team.rank() == 0) after = blocks.live_bytes() - before;
      team.barrier();
      std::lock_guard lock(mutex);
      sent += team.bytes_sent() - bytes;
    });
    // A loss and a norm of each shard, which gather() doubles on their way through log2(N) peers; and whose
    // numbers are on all N workers in the end.
    const int64_t small_ones = workers * (workers - 1) * 8 * (1 + settings.shards / workers);
    CHECK(sent == 2 * (workers - 1) * 4 * numbers + small_ones);
    // Beside m and v: the tokens and the loss's gradient of each worker, in blocks of at least 64 bytes; and
    // where a block of m or v ends.
    const auto state = static_cast<double>(2 * 4 * numbers);
    CHECK(static_cast<double>(held) >= state);
    CHECK(static_cast<double>(held) <= 1.3 * state + workers * 4096);
    // After a step no worker holds a gradient, nor a part of one.
    CHECK(after == held);
  }
}

TEST_CASE("settings: shards are a power of two that cuts the step") {
  const auto refused = [](int64_t batch, int64_t accumulation, int64_t shards) {
    Settings settings = small();
    settings.batch = batch, settings.accumulation = accumulation, settings.shards = shards;
    try {
      check_settings(settings);
    } catch (const Error&) {
      return true;
    }
    return false;
  };
  CHECK_FALSE(refused(16, 1, 16));
  CHECK_FALSE(refused(3, 4, 4));
  CHECK_FALSE(refused(6, 4, 8));
  CHECK_FALSE(refused(4, 12, 4));
  CHECK(refused(16, 1, 3));
  CHECK(refused(3, 4, 8));
  CHECK(refused(16, 1, 32));
  CHECK(refused(4, 6, 4));
}
