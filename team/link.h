// What lies between workers, as two numbers that are measured, and what an all-reduce takes with them.
#pragma once
#include <cstdint>

#include "team/team.h"

namespace chapbook {

struct Link {
  double latency;           // seconds of an exchange of next to nothing
  double bytes_per_second;  // that each of two workers gives while it takes as many
};

// Between neighbours, all at once, and then at each larger distance: the slowest of all. All workers measure.
Link measure_link(Team& team);

// Seconds of one half of an all-reduce, reduce_scatter or all_gather: log2(N) exchanges for each of so many
// pieces, and (N - 1) / N of the bytes of the numbers.
double half_all_reduce_seconds(const Link& link, int64_t numbers, int64_t pieces, int size);

// A step of one worker: what it computes, what goes between the workers, and what it waits for. The sums of
// the gradients may go on behind the backward pass of the last batch, but for the last piece, which is there
// only when that has ended.
struct StepSeconds {
  double computing, sums, gathering;  // the two halves
  double hidden;                      // of the sums
  double all() const { return computing + sums - hidden + gathering; }
};
StepSeconds step_seconds(double computing, double last_backward, const Link& link, int64_t numbers,
                         int64_t pieces, int size);

}  // namespace chapbook
