#include "apps/run/step_profile.h"

#include <algorithm>
#include <chrono>

#include "apps/run/random_training.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

void warm_up(Trainer& trainer) {
  for (int i = 0; i < profile_warmup; ++i) trainer.step();
}

double median(std::vector<double> numbers) {
  std::nth_element(numbers.begin(), numbers.begin() + numbers.size() / 2, numbers.end());
  return numbers[numbers.size() / 2];
}

// Seconds of steps without a profiler.
std::vector<double> plain_steps(const Settings& settings, int steps, Team& team) {
  std::vector<double> seconds;
  {
    RandomTraining training(settings, default_backend(), team);
    warm_up(training.trainer);
    for (int i = 0; i < steps; ++i) {
      const auto start = std::chrono::steady_clock::now();
      training.trainer.step();
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  default_backend().blocks().trim();
  return seconds;
}

StepProfile profiled_step(Trainer& trainer, ProfileBackend& backend, const Team& team) {
  backend.take_calls();
  backend.blocks().reset_peak();
  StepProfile profile;
  profile.live_before = backend.blocks().live_bytes();
  const Communication had = trainer.communication();
  const double start = backend.now();
  trainer.step();
  profile.whole = backend.now() - start;
  const Communication has = trainer.communication();
  profile.workers = team.size(), profile.sent = has.bytes_sent - had.bytes_sent;
  profile.exchanging = has.seconds - had.seconds, profile.waited = has.waited - had.waited;
  ProfileBackend::Calls taken = backend.take_calls();
  for (Call& call : taken.calls) call.start -= start, call.end -= start;
  profile.calls = std::move(taken.calls);
  profile.recording = taken.recording;
  profile.peak = backend.blocks().peak_bytes();
  return profile;
}

}  // namespace

ProfiledSteps profile_steps(const Settings& settings, int steps, Team& team) {
  check(steps >= 1, "profile: {} steps", steps);
  ProfiledSteps result;
  result.plain = plain_steps(settings, steps, team);

  ProfileBackend backend(default_backend());
  RandomTraining training(settings, backend, team);
  warm_up(training.trainer);
  std::vector<StepProfile> profiles;
  for (int i = 0; i < steps; ++i) {
    profiles.push_back(profiled_step(training.trainer, backend, team));
    result.seconds.push_back(profiles.back().seconds());
  }
  const auto middle = std::find(result.seconds.begin(), result.seconds.end(), median(result.seconds));
  result.step = std::move(profiles[middle - result.seconds.begin()]);
  result.step.plain = median(result.plain);
  return result;
}

}  // namespace chapbook
