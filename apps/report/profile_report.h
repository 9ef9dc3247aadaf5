// One training step taken apart: what a ProfileBackend wrote down, as a table and as JSON. Its pictures are
// in profile_charts.h.
#pragma once
#include <string>
#include <vector>

#include "apps/report/limits.h"
#include "tensor/json.h"
#include "tensor/profile/profile_backend.h"

namespace chapbook {

struct StepProfile {
  Limits limits;
  std::vector<Call> calls;  // times from the step's start
  double whole = 0;         // seconds from its start to its end
  double recording = 0;     // seconds of them for writing the calls down
  double plain = 0;         // seconds of the same step without the profiler
  size_t live_before = 0;   // bytes of tensors before the step: weights and the optimizer's state
  size_t peak = 0;          // the most bytes of tensors during it
  // Of a step that several workers share, in the first of them.
  int workers = 1;
  int64_t sent = 0;       // bytes
  double exchanging = 0;  // seconds of exchanges, which may go on while ops run
  double waited = 0;      // seconds of doing nothing else

  double seconds() const { return whole - recording; }  // of the step alone
  double in_ops() const;
  double between_ops() const { return seconds() - in_ops() - waited; }  // graph, dispatch, memory, data
};

// The calls of one phase, op and shape together.
struct OpRow {
  Phase phase;
  std::string op, shapes;
  int64_t calls = 0;
  double seconds = 0;
  Cost cost;

  // Of the speed the roofline allows; above 1 where bytes were found in a cache.
  double share_of_roof(const Limits& limits) const {
    return limits.seconds(cost.flops, cost.bytes()) / seconds;
  }
};
std::vector<OpRow> op_rows(const StepProfile& profile);  // the one that takes longest first

// For the terminal; rows of less than half a percent of the step are one line.
std::string profile_table(const StepProfile& profile);

Json profile_json(const StepProfile& profile);

// Chrome's trace events, for chrome://tracing and Perfetto: calls below their phases, and a memory counter.
Json trace_json(const StepProfile& profile);

}  // namespace chapbook
