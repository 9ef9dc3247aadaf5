#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/check.h"

namespace chapbook {

static void check_rate(const char* function, double rate) {
  check(std::isfinite(rate) && rate >= 0, "{}: a rate of {}; it must be 0 or more", function, rate);
}

// How far `step` is on the way of `steps`, 0 to 1.
static double share(int64_t step, int64_t steps) {
  return steps <= 0 ? 1 : std::clamp(static_cast<double>(step) / static_cast<double>(steps), 0.0, 1.0);
}

Schedule constant(double rate) {
  check_rate("constant", rate);
  return [=](int64_t) { return rate; };
}

Schedule linear(double first, double last, int64_t steps) {
  for (const double rate : {first, last}) check_rate("linear", rate);
  return [=](int64_t step) { return first + (last - first) * share(step, steps); };
}

Schedule cosine(double first, double last, int64_t steps) {
  for (const double rate : {first, last}) check_rate("cosine", rate);
  return [=](int64_t step) {
    return last + (first - last) * 0.5 * (1 + std::cos(std::numbers::pi * share(step, steps)));
  };
}

// The rise: step 0 already moves.
static Schedule warm_up(double rate, int64_t warmup) {
  check(warmup >= 0, "warm-up: {} steps", warmup);
  return linear(rate / static_cast<double>(warmup + 1), rate, warmup);
}

Schedule warmup_cosine(double rate, double last, int64_t warmup, int64_t steps) {
  return chain({{warm_up(rate, warmup), warmup}, {cosine(rate, last, steps - warmup), 0}});
}

Schedule cosine_restarts(double rate, double last, int64_t period, double growth) {
  for (const double each : {rate, last}) check_rate("cosine_restarts", each);
  check(period > 0 && growth >= 1, "cosine_restarts: a period of {} steps growing {} times", period, growth);
  return [=](int64_t step) {
    double length = static_cast<double>(period), at = static_cast<double>(step);
    while (at >= length) {
      at -= length;
      length *= growth;
    }
    return last + (rate - last) * 0.5 * (1 + std::cos(std::numbers::pi * at / length));
  };
}

Schedule warmup_stable_decay(double rate, double last, int64_t warmup, int64_t decay, int64_t steps) {
  check(decay >= 0, "warmup_stable_decay: the decay takes {} steps", decay);
  const int64_t level = std::max<int64_t>(0, steps - warmup - decay);
  return chain({{warm_up(rate, warmup), warmup}, {constant(rate), level}, {linear(rate, last, decay), 0}});
}

Schedule chain(std::vector<std::pair<Schedule, int64_t>> parts) {
  check(!parts.empty(), "chain: no schedules");
  for (const auto& [schedule, steps] : parts)
    check(schedule && steps >= 0, "chain: {} for {} steps", schedule ? "a schedule" : "no schedule", steps);
  return [parts = std::move(parts)](int64_t step) {
    size_t i = 0;
    for (; i + 1 < parts.size() && step >= parts[i].second; ++i) step -= parts[i].second;
    return parts[i].first(step);
  };
}

}  // namespace chapbook
