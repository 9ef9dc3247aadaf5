// How many processors this process has to compute with.
#pragma once
#include <string>

namespace chapbook {

// Those it may run on, or fewer where a control group it is in has a quota of their time (Linux, versions 1
// and 2), as containers have. Of a quota between two numbers, the higher. `root` is where /proc and /sys lie.
int processors(const std::string& root = "");

}  // namespace chapbook
