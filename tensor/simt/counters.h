// What kernels did, in numbers. Lanes of a warp that reach the same line for the n-th time make one request
// of it, as on a GPU, where they reach it together; where lanes take different ways through a loop, the n-th
// times of two lanes may be different rounds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace chapbook::simt {

struct Counters {
  int64_t launches = 0, blocks = 0, threads = 0;
  struct Traffic {
    int64_t reads = 0, writes = 0, bytes = 0;  // of threads
    int64_t requests = 0;                      // of warps
  } global, shared;
  int64_t sectors = 0;  // 32 bytes of global memory, those a request touches; 4 are one float for each lane
  int64_t bank_conflicts = 0;  // rounds that requests of shared memory took beyond those their size needs
  int64_t atomics = 0;         // of threads
  int64_t barriers = 0;        // of blocks
  int64_t exchanges = 0;       // of warps: shuffles, votes, tensor-core products
  int64_t faults = 0;          // launches that ended with an error

  double sectors_per_request() const {
    return global.requests ? static_cast<double>(sectors) / static_cast<double>(global.requests) : 0;
  }
};

// Counts by kernel's name, from zero; counting makes kernels several times slower. CHAPBOOK_SIMT_REPORT=1
// counts from the first launch on and prints report() when the program ends.
void start_counting();
void stop_counting();
const std::map<std::string, Counters>& counters();
std::string report();  // a table, one line for each kernel

// For the machine: the running kernel's, or null.
extern Counters* counting;
void count_launch(const std::string& kernel);
void count_access(bool shared, bool write, const void* address, size_t bytes, const void* from, int thread);
void end_requests();  // lanes do not meet again at the same time

}  // namespace chapbook::simt
