#include "apps/run/plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "apps/run/trainer.h"

namespace chapbook {

double measured_tokens_per_second(const Settings& settings) {
  constexpr double some_work = 2e10;  // multiplications and additions: less than a second on two cores
  const double sequence_work = model_costs(settings).flops_per_token * static_cast<double>(settings.context);
  const int64_t batch =
      std::clamp<int64_t>(static_cast<int64_t>(some_work / sequence_work), 1, settings.batch);
  const std::unique_ptr<LanguageModel> model = make_model(settings);
  Random random{.seed = 1};
  model->initialise(random);
  model->train_with(nullptr, settings.recompute);
  model->compute_in(checked_precision(settings, model->backend()));
  std::vector<int32_t> numbers(static_cast<size_t>(batch * settings.context));
  for (int32_t& token : numbers)
    token = static_cast<int32_t>(random.below(static_cast<uint64_t>(settings.vocabulary)));
  const Tensor tokens = Tensor::from(numbers, Shape{batch, settings.context});

  using Clock = std::chrono::steady_clock;
  double best = 0, spent = 0;
  // The first step also fetches memory and starts threads, so the best one counts.
  while (spent < 1.5) {  // seconds
    const auto start = Clock::now();
    clear_gradients(*model);
    backward(model->loss(tokens, tokens));
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(numbers.size()) / seconds);
    spent += seconds;
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
