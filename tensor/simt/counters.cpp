#include "tensor/simt/counters.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <unordered_map>
#include <vector>

namespace chapbook::simt {

Counters* counting = nullptr;

static bool on = false;
static std::map<std::string, Counters> by_kernel;

void start_counting() {
  by_kernel.clear();
  on = true;
}
void stop_counting() { on = false; }
const std::map<std::string, Counters>& counters() { return by_kernel; }

void count_launch(const std::string& kernel) {
  static const bool asked = [] {
    const char* value = std::getenv("CHAPBOOK_SIMT_REPORT");
    if (!value || std::string(value) != "1") return false;
    start_counting();
    return std::atexit([] { fmt::print(stderr, "{}", report()); }) == 0;
  }();
  (void)asked;
  counting = on ? &by_kernel[kernel] : nullptr;
  if (counting) ++counting->launches;
}

namespace {

struct Request {
  size_t bytes;  // of each lane
  uint32_t lanes = 0;
  std::array<uintptr_t, 32> address;
};
struct Site {                      // a line of code
  std::array<size_t, 32> times{};  // that each lane was there
  std::vector<Request> requests;   // by time
};
// Where the running warp was; a copy from global to shared memory is an access of either kind.
std::unordered_map<const void*, Site> sites[2];
int running_warp = 0;

int64_t sectors(const Request& request) {
  std::vector<uintptr_t> touched;
  for (int lane = 0; lane < 32; ++lane)
    if (request.lanes >> lane & 1)
      for (uintptr_t sector = request.address[lane] / 32; sector * 32 < request.address[lane] + request.bytes;
           ++sector)
        touched.push_back(sector);
  std::sort(touched.begin(), touched.end());
  return std::unique(touched.begin(), touched.end()) - touched.begin();
}

// Shared memory has 32 banks of 4 bytes, and each gives one word at a time. Lanes that move 16 bytes go in
// groups of 8, with 8 bytes in groups of 16.
int64_t conflicts(const Request& request) {
  const int group = request.bytes <= 4 ? 32 : request.bytes <= 8 ? 16 : 8;
  int64_t extra = 0;
  for (int first = 0; first < 32; first += group) {
    std::array<std::vector<uintptr_t>, 32> words;  // of each bank
    for (int lane = first; lane < first + group; ++lane)
      if (request.lanes >> lane & 1)
        for (uintptr_t word = request.address[lane] / 4; word * 4 < request.address[lane] + request.bytes;
             ++word) {
          auto& of_bank = words[word % 32];
          if (std::find(of_bank.begin(), of_bank.end(), word) == of_bank.end()) of_bank.push_back(word);
        }
    size_t rounds = 1;
    for (const auto& of_bank : words) rounds = std::max(rounds, of_bank.size());
    extra += static_cast<int64_t>(rounds) - 1;
  }
  return extra;
}

}  // namespace

void count_access(bool shared, bool write, const void* address, size_t bytes, const void* from, int thread) {
  Counters::Traffic& traffic = shared ? counting->shared : counting->global;
  ++(write ? traffic.writes : traffic.reads);
  traffic.bytes += static_cast<int64_t>(bytes);
  if (thread / 32 != running_warp) {
    end_requests();
    running_warp = thread / 32;
  }
  const int lane = thread % 32;
  Site& site = sites[shared][from];
  const size_t time = site.times[lane]++;
  if (time == site.requests.size()) site.requests.push_back({bytes, 0, {}});
  site.requests[time].lanes |= 1u << lane;
  site.requests[time].address[lane] = reinterpret_cast<uintptr_t>(address);
}

void end_requests() {
  for (bool shared : {false, true}) {
    for (const auto& [from, site] : sites[shared])
      for (const Request& request : site.requests) {
        ++(shared ? counting->shared : counting->global).requests;
        (shared ? counting->bank_conflicts : counting->sectors) +=
            shared ? conflicts(request) : sectors(request);
      }
    sites[shared].clear();
  }
}

std::string report() {
  std::string table =
      fmt::format("{:<40} {:>8} {:>10} {:>12} {:>12} {:>9} {:>12} {:>12} {:>10} {:>10} {:>10} {:>7}\n",
                  "kernel", "launches", "threads", "global MB", "requests", "sectors", "shared MB",
                  "requests", "conflicts", "barriers", "exchanges", "atomics");
  for (const auto& [kernel, c] : by_kernel)
    table += fmt::format(
        "{:<40} {:>8} {:>10} {:>12.3f} {:>12} {:>9.2f} {:>12.3f} {:>12} {:>10} {:>10} {:>10} {:>7}\n",
        kernel.substr(0, 40), c.launches, c.threads, static_cast<double>(c.global.bytes) * 1e-6,
        c.global.requests, c.sectors_per_request(), static_cast<double>(c.shared.bytes) * 1e-6,
        c.shared.requests, c.bank_conflicts, c.barriers, c.exchanges, c.atomics);
  return table;
}

}  // namespace chapbook::simt
