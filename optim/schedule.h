// Schedules: the learning rate as a plain function of the step, which counts from 0.
#pragma once
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace chapbook {

using Schedule = std::function<double(int64_t step)>;

Schedule constant(double rate);

// A straight line from `first` at step 0 to `last` at step `steps` and after.
Schedule linear(double first, double last, int64_t steps);

// Half a cosine from `first` at step 0 to `last` at step `steps` and after.
Schedule cosine(double first, double last, int64_t steps);

// A rise from rate / (warmup + 1) to rate in `warmup` steps, then a cosine down to `last` at step `steps`
// (GPT-2's and GPT-3's).
Schedule warmup_cosine(double rate, double last, int64_t warmup, int64_t steps);

// SGDR (Loshchilov & Hutter 2017): the cosine starts again after `period` steps, each period `growth` times
// as long as the one before.
Schedule cosine_restarts(double rate, double last, int64_t period, double growth = 1);

// Warm-up, stable, decay (Hu et al. 2024): up, level, and a straight line down to `last` over the last
// `decay` of `steps` steps.
Schedule warmup_stable_decay(double rate, double last, int64_t warmup, int64_t decay, int64_t steps);

// One schedule after another: each pair is a schedule and the number of steps it runs for; the last runs on
// for ever. Every schedule counts its own steps from 0.
Schedule chain(std::vector<std::pair<Schedule, int64_t>> parts);

}  // namespace chapbook
