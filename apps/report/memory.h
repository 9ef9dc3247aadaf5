// The memory of this machine, and how to say an amount of it.
#pragma once
#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace chapbook {

inline std::string bytes_text(double bytes) {
  if (bytes < 999.5e6) return fmt::format("{:.{}f} MB", bytes / 1e6, bytes < 9.95e6 ? 1 : 0);
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

// Bytes that may be used before swapping, which can be less than free: in a container its limit counts
// (cgroup v2). 0: not known.
inline double memory_available() {
  double available = 0;
  std::ifstream machine("/proc/meminfo");
  for (std::string line; std::getline(machine, line);)
    if (line.starts_with("MemAvailable:")) available = 1024 * std::stod(line.substr(13));
  double limit, used;
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  if (limit_file >> limit && used_file >> used) available = std::min(available, std::max(limit - used, 0.0));
  return available;
}

}  // namespace chapbook
