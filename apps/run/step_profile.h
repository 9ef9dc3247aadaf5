// The training step that ./chapbook profile shows: made several times, with and without a profiler.
#pragma once
#include <vector>

#include "apps/report/profile_report.h"
#include "apps/run/settings.h"
#include "team/team.h"

namespace chapbook {

struct ProfiledSteps {
  StepProfile step;                    // the step of median time: one that was made, so that its parts add up
  std::vector<double> seconds, plain;  // of all steps, and of as many without the profiler
};

constexpr int profile_warmup =
    2;  // steps before those that count: the first take their memory from the system

// Makes `steps` steps, at least one, on random tokens. All workers of a team make the same; each gets what it
// saw.
ProfiledSteps profile_steps(const Settings& settings, int steps, Team& team);

}  // namespace chapbook
