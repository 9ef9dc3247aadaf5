// What a training run will cost: what can be counted, and what a few steps tell.
#pragma once
#include "apps/run/family.h"
#include "team/link.h"

namespace chapbook {

// Bytes of what a worker holds.
struct Memory {
  double weights, gradients;
  double sums;         // of shards that wait for others: as many as its subtree has levels
  double optimizer;    // its part of the averages of each gradient, two or one
  double activations;  // of as many rows as are computed at once
  double all() const { return weights + gradients + sums + optimizer + activations; }
};
Memory memory_of_worker(const Settings& settings, const ModelCosts& model, int workers);

// Tokens trained on in a second: forward and backward passes of this very model, as it trains, on random
// tokens, of as many sequences as make about a second of work, at most a whole batch. The optimizer's work,
// once a step, is not in it.
double measured_tokens_per_second(const Settings& settings);

// How a step goes with several workers, each of which does `speed` tokens a second alone.
StepSeconds step_of_workers(const Settings& settings, const ModelCosts& model, int workers, double speed,
                            const Link& link);

}  // namespace chapbook
