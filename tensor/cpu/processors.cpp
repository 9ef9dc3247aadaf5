#include "tensor/cpu/processors.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "tensor/os/system.h"

namespace chapbook {

// Processors' worth of time that a control group has; infinity where it has no quota. Version 2 has one file,
// "150000 100000" or "max 100000"; version 1 has two, and -1 for no quota.
static double quota_of(const std::filesystem::path& group) {
  std::ifstream both(group / "cpu.max");
  std::ifstream quota(group / "cpu.cfs_quota_us"), period(group / "cpu.cfs_period_us");
  double time = 0, of = 0;
  const bool known = (both >> time >> of) || (quota >> time && period >> of);
  return known && time > 0 && of > 0 ? time / of : std::numeric_limits<double>::infinity();
}

// hardware_concurrency counts processors that are on, not those that taskset or a container leaves us.
static unsigned allowed() {
  const unsigned ours = os::processors();
  return ours > 0 ? ours : std::max(1u, std::thread::hardware_concurrency());
}

int processors(const std::string& root) {
  double most = allowed();
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/a/b" is version 2's, "4:cpu,cpuacct:/a/b" 1's
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    // Groups are in groups, and each may have a quota. A container sees its own as the outermost one, under
    // a name that only the host knows.
    std::filesystem::path group = root + "/sys/fs/cgroup/" + line.substr(first + 1, second - first - 1);
    most = std::min(most, quota_of(group));
    for (const std::filesystem::path& inner : std::filesystem::path(line.substr(second + 1)).relative_path())
      most = std::min(most, quota_of(group /= inner));
  }
  return std::max(1, static_cast<int>(std::ceil(most)));
}

Caches& caches() {
  static Caches ours = [] {
    const int64_t second = os::second_cache_bytes(), last = os::last_cache_bytes();
    return Caches{second > 0 ? second : 512 << 10, last > 0 ? last : 8 << 20};
  }();
  return ours;
}

}  // namespace chapbook
