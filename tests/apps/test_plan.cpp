// What `plan` counts: of a worker's memory, against the model it would have; of a step, against what must
// hold.
#include <doctest/doctest.h>

#include <set>

#include "apps/run/plan.h"
#include "apps/run/trainer.h"
#include "tensor/profile/profile_backend.h"

using namespace chapbook;

TEST_CASE("plan: what a worker holds") {
  Settings settings = SettingsOptions{"nano", "", {}}.settings();
  const ModelCosts model = model_costs(settings);
  const double numbers = 4.0 * static_cast<double>(count_parameters(*make_model(settings)));
  const Memory alone = memory_of_worker(settings, model, 1);
  CHECK(alone.weights == numbers);
  CHECK(alone.gradients == numbers);
  CHECK(alone.sums == 0);
  CHECK(alone.optimizer == 2 * numbers);
  CHECK(alone.activations == model.activation_bytes);
  settings.shards = 8;
  CHECK(memory_of_worker(settings, model, 1).sums == 3 * numbers);  // a tree of eight has three levels
  const Memory two = memory_of_worker(settings, model, 2);
  CHECK(two.sums == 2 * numbers);
  CHECK(two.optimizer == numbers);
  CHECK(two.activations < alone.activations);
}

TEST_CASE("plan: what is measured is the model in training, as the settings have it") {
  const auto ops = [](const std::vector<std::string>& assignments) {
    Settings settings = SettingsOptions{"tiny", "", assignments}.settings();
    settings.layers = 1, settings.width = 8, settings.heads = 1, settings.context = 16, settings.batch = 1;
    Backend& before = default_backend();
    ProfileBackend watched(before);
    set_default_backend(watched);
    CHECK(measured_tokens_per_second(settings) > 0);
    set_default_backend(before);
    std::set<std::string> names;
    for (const Call& call : watched.take_calls().calls) names.insert(call.op);
    return names;
  };
  // Where masks come from, and rounded weights.
  const std::set<std::string> plain = ops({"precision=f32"}), other = ops({"precision=bf16", "dropout=0.1"});
  for (const char* op : {"random uniform", "copy f32 to bf16"}) {
    CHECK_FALSE(plain.contains(op));
    CHECK(other.contains(op));
  }
}

TEST_CASE("plan: workers share the work, and a slow link takes the gain") {
  Settings settings = SettingsOptions{"nano", "", {}}.settings();
  settings.shards = 4;
  const ModelCosts model = model_costs(settings);
  const double tokens = static_cast<double>(settings.batch * settings.context * settings.accumulation);
  const auto seconds = [&](int workers, const Link& link) {
    return step_of_workers(settings, model, workers, /*speed=*/1000, link).all();
  };
  CHECK(seconds(4, {0, 1e18}) == doctest::Approx(tokens / 4 / 1000));
  const double slow = 1e3;  // bytes a second
  CHECK(seconds(4, {0, slow}) > 4.0 * static_cast<double>(model.parameters) / slow);
}
