#include "apps/run/plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "apps/run/random_training.h"

namespace chapbook {

double measured_tokens_per_second(const Settings& settings) {
  constexpr double some_work = 2e10;  // multiplications and additions: less than a second on two cores
  const double sequence_work = model_costs(settings).flops_per_token * static_cast<double>(settings.context);
  const int64_t batch =
      std::clamp<int64_t>(static_cast<int64_t>(some_work / sequence_work), 1, settings.batch);
  Settings one_batch = settings;
  one_batch.batch = batch, one_batch.accumulation = one_batch.shards = 1, one_batch.skip_above = 0;
  RandomTraining training(one_batch);
  training.trainer.follow(constant(0));  // of random tokens there is nothing to learn

  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto seconds_since = [](Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  };
  double best = 0;
  // The first step also fetches memory and starts threads, so the best one counts.
  while (seconds_since(start) < 1.5) {
    const auto begin = Clock::now();
    training.trainer.step([&](const std::vector<Parameter>&, double) {  // the optimizer's work is to come
      training.model->backend().synchronize();
      best = std::max(best, static_cast<double>(training.trainer.tokens_per_step()) / seconds_since(begin));
    });
  }
  return best;
}

Memory memory_of_worker(const Settings& settings, const ModelCosts& model, int workers) {
  const double weights = 4.0 * static_cast<double>(model.parameters);
  const double levels = std::log2(static_cast<double>(settings.shards / workers));
  return {weights, weights, settings.sum == "tree" ? levels * weights : 0,
          (settings.optimizer == "adamw" ? 2 : 1) * weights / workers,
          static_cast<double>(model.activation_bytes) * static_cast<double>(shards_of(settings).rows) /
              static_cast<double>(settings.batch)};
}

StepSeconds step_of_workers(const Settings& settings, const ModelCosts& model, int workers, double speed,
                            const Link& link) {
  const ShardsOfStep shard = shards_of(settings);
  const double tokens = static_cast<double>(settings.batch * settings.context * settings.accumulation);
  const double batch = static_cast<double>(shard.rows * settings.context) / speed;  // seconds
  const int64_t pieces = std::max<int64_t>(1, model.parameters / Slices::usual_bucket);
  return step_seconds(tokens / workers / speed, batch * 2 / 3, link, model.parameters, pieces, workers);
}

}  // namespace chapbook
