// Times rows with Google Benchmark.
#pragma once
#include <functional>

#include "bench/row.h"

namespace chapbook {

struct MeasureOptions {
  bool quick = false;  // few and short repeats, and nothing that takes long
  int repeats = 5;
};

// The machine's own limits, on one thread and on all of them. `limits`: what all threads reach, to compare
// with.
std::vector<Measurement> measure_machine(const MeasureOptions& options, Limits& limits);

// Every row on every backend: medians over repeats that take turns, in an order drawn at random, so that what
// disturbs the machine for a while disturbs all alike. The reference backend is left out where it would take
// long.
std::vector<Measurement> measure(const std::vector<Row>& rows, const Limits& limits,
                                 const MeasureOptions& options);

}  // namespace chapbook
