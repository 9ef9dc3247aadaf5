// Pictures of measurements, one for each question. The same numbers always give the same bytes; a picture for
// which the numbers are missing is empty text.
#pragma once
#include <string>
#include <vector>

#include "apps/report/bench_results.h"

namespace chapbook {

// Which backend is faster at which size: speed over size, a panel for each op that two columns measured, and
// a mark where the first column and another change places, as far as their spreads leave no doubt. The first
// twelve such ops are drawn.
std::string sizes_svg(const Comparison& comparison);

// How near ops come to what the machine allows: speed over operations per byte, each op at its largest size,
// under the roof of `file`'s limits.
std::string roofline_svg(const Comparison& comparison, const BenchFile& file);

// Where the time of a training step goes: what `./chapbook profile` wrote, a bar for each file.
struct StepTimes {
  std::string name;
  struct Part {
    std::string op;
    double seconds;
  };
  std::vector<Part> parts;
  double whole = 0;  // seconds; what is not in parts is between them
};
StepTimes read_profile(const std::string& path);  // throws one line for what is not such a file
std::string steps_svg(const std::vector<StepTimes>& steps);

}  // namespace chapbook
