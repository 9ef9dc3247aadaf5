// Pictures of a training step. The same numbers always give the same bytes.
#pragma once
#include <string>

#include "apps/report/profile_report.h"

namespace chapbook {

// Every call over time, a lane for each phase, and the bytes in use below.
std::string timeline_svg(const StepProfile& profile);

// Speed over operations per byte, both logarithmic: each row of op_rows() a dot whose area is its share of
// the step, under the roof of the machine's limits.
std::string roofline_svg(const StepProfile& profile);

// Where the time goes: a bar for each phase and one for the step, by kind of op.
std::string step_svg(const StepProfile& profile);

}  // namespace chapbook
