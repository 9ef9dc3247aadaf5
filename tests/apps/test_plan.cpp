// What `plan` counts: of a worker's memory, against the model it would have; of a step, against what must
// hold.
#include <doctest/doctest.h>

#include "apps/run/plan.h"
#include "apps/run/trainer.h"

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
