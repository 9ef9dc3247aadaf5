// Where the machine ends: threads, processors' time and memory that are not to be had, and two threads that
// want the same.
#include <doctest/doctest.h>
#ifdef __linux__
#include <sched.h>
#endif
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <new>
#include <numeric>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/processors.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/ops.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

#ifndef CHAPBOOK_SANITIZE  // which reserves more addresses than any limit leaves
TEST_CASE("threads the system does not give are one line, and the pool goes on with the one there is") {
  ThreadPool pool(2);
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_AS, &before) == 0);
  const rlimit little{static_cast<rlim_t>(pages * 4096 + (100 << 20)), before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_AS, &little) == 0);  // a thread's stack is 8 MB of addresses
  CHECK_THROWS_WITH_AS(pool.set_threads(200), doctest::Contains("threads: the system gives "), Error);
  CHECK_THROWS_WITH_AS(ThreadPool(200),
                       doctest::Contains("of 200 (Resource temporarily unavailable); --threads or "), Error);
  REQUIRE(::setrlimit(RLIMIT_AS, &before) == 0);
  for (const int threads : {1, 3}) {
    if (threads > 1) pool.set_threads(threads);
    CHECK(pool.threads() == threads);
    std::atomic<int> chunks = 0;
    pool.parallel_for(100, 1, [&](int64_t, int64_t) { ++chunks; });
    CHECK(chunks == 100);
  }
}
#endif

TEST_CASE("a worker without memory is the caller's bad_alloc") {
  ThreadPool pool(4);
  CHECK_THROWS_AS(pool.parallel_for(64, 1,
                                    [](int64_t begin, int64_t) {
                                      if (begin > 40) throw std::bad_alloc();
                                    }),
                  std::bad_alloc);
  std::atomic<int> chunks = 0;
  pool.parallel_for(100, 1, [&](int64_t, int64_t) { ++chunks; });
  CHECK(chunks == 100);
}

TEST_CASE("a quota of processors' time is as many threads") {
  const int all = processors();
  CHECK(all >= 1);
  const int allowed = processors("/nonexistent");
  CHECK(allowed <= static_cast<int>(std::thread::hardware_concurrency()));
#ifdef __linux__
  cpu_set_t mask, one;  // as taskset does, for this thread
  REQUIRE(sched_getaffinity(0, sizeof(mask), &mask) == 0);
  CHECK(allowed == CPU_COUNT(&mask));
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
    if (CPU_ISSET(i, &mask)) CPU_SET(i, &one);
  REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
  CHECK(processors("/nonexistent") == 1);
  REQUIRE(sched_setaffinity(0, sizeof(mask), &mask) == 0);
#endif
  const struct {
    const char *what, *groups;  // /proc/self/cgroup
    std::vector<std::pair<const char*, const char*>> files;
    double quota;  // 0: none
  } cases[] = {
      {"version 2, in a container", "0::/\n", {{"cpu.max", "50000 100000\n"}}, 0.5},
      {"version 2, none", "0::/\n", {{"cpu.max", "max 100000\n"}}, 0},
      {"version 2, an outer group has less",
       "0::/a/b\n",
       {{"a/cpu.max", "100000 100000\n"}, {"a/b/cpu.max", "6400000 100000\n"}},
       1},
      {"version 2, the group's name is the host's", "0::/docker/0123\n", {{"cpu.max", "100000 100000\n"}}, 1},
      {"version 1",
       "11:memory:/a\n4:cpu,cpuacct:/a\n0::/a\n",
       {{"cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n"}, {"cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
       1.5},
      {"version 1, none",
       "4:cpu,cpuacct:/\n",
       {{"cpu,cpuacct/cpu.cfs_quota_us", "-1\n"}, {"cpu,cpuacct/cpu.cfs_period_us", "100000\n"}},
       0},
      {"nonsense", "no colons\n::\n0::/../..\n", {{"cpu.max", "many of them\n"}}, 0},
  };
  for (const auto& each : cases) {
    CAPTURE(each.what);
    const TemporaryDirectory root;
    const auto write = [&](const std::string& path, const char* text) {
      std::filesystem::create_directories(std::filesystem::path(root / path).parent_path());
      std::ofstream(root / path) << text;
    };
    write("proc/self/cgroup", each.groups);
    for (const auto& [path, text] : each.files) write(std::string("sys/fs/cgroup/") + path, text);
    const int rounded_up = static_cast<int>(std::ceil(each.quota));
    CHECK(processors(root.path) == (each.quota > 0 ? std::min(all, rounded_up) : all));
  }
}

// One waits for the pool and holds the choice, the other holds the pool and waits for the choice: they ended
// here for ever.
TEST_CASE("CHAPBOOK_GEMM=auto: two threads meet new shapes at once") {
  if (!cpu::has_openblas()) return;
  const TemporaryDirectory cache;
  ::setenv("XDG_CACHE_HOME", cache.path.c_str(), 1);
  const cpu::Gemm before = cpu::gemm_choice();
  cpu::set_gemm("auto");
  Backend& cpu = backend("cpu");
  const auto multiply = [&](const Shape& a, const Shape& b) {
    return matmul(Tensor::full(a, 2, DType::f32, cpu), Tensor::full(b, 0.5, DType::f32, cpu))
        .to_vector<float>();
  };
  const auto all_are = [](const std::vector<float>& numbers, float wanted) {
    return std::all_of(numbers.begin(), numbers.end(), [&](float x) { return x == wanted; });
  };
  auto batches = std::async(std::launch::async, [&] {
    bool right = true;
    for (int64_t i = 0; i < 40; ++i) right = right && all_are(multiply({8, 90 + i, 80}, {8, 80, 90}), 80);
    return right;
  });
  for (int64_t i = 0; i < 40; ++i) CHECK(all_are(multiply({200 + i, 96}, {96, 128}), 96));
  CHECK(batches.get());
  cpu::set_gemm(before == cpu::Gemm::own ? "own" : before == cpu::Gemm::openblas ? "openblas" : "auto");
}
