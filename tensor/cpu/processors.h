// How many processors this process has to compute with, and what they have.
#pragma once
#include <cstdint>
#include <string>

namespace chapbook {

// Those it may run on, or fewer where a control group it is in has a quota of their time (Linux, versions 1
// and 2), as containers have. Of a quota between two numbers, the higher. `root` is where /proc and /sys lie.
int processors(const std::string& root = "");

// Bytes of the second cache, a core's own, and of the last, which cores share: as the system says when first
// asked, else those of a common processor. Tests change them.
struct Caches {
  int64_t second, last;
};
Caches& caches();

}  // namespace chapbook
