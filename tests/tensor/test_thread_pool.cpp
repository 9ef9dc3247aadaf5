// The thread pool: which chunks there are, who runs them, and what happens to an exception.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"

using namespace chapbook;

TEST_CASE("thread pool: chunks depend on count and grain only, and each is run once") {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (int64_t count : {0, 1, 7, 64, 1000}) {
      for (int64_t grain : {1, 7, 64, 5000}) {
        std::vector<std::atomic<int>> begun(count + 1);
        std::atomic<bool> aligned = true;
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          if (begin % grain != 0 || end != std::min(begin + grain, count)) aligned = false;
          for (int64_t i = begin; i < end; ++i) ++begun[i];
        });
        CHECK(aligned);
        CHECK(std::all_of(begun.begin(), begun.begin() + count, [](const auto& n) { return n == 1; }));
      }
    }
  }
}

TEST_CASE("thread pool: many short loops, from several callers, with pauses long enough to fall asleep") {
  ThreadPool pool(3);
  std::atomic<int64_t> total = 0;
  const auto caller = [&] {
    for (int loop = 0; loop < 2000; ++loop) {
      pool.parallel_for(10, 1, [&](int64_t begin, int64_t) { total += begin; });
      if (loop % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  std::thread other(caller);
  caller();
  other.join();
  CHECK(total == 2 * 2000 * 45);
}

TEST_CASE("thread pool: an exception of a chunk reaches the caller, and the pool goes on") {
  ThreadPool pool(4);
  for (int64_t bad : {0, 17, 99}) {
    CHECK_THROWS_AS(pool.parallel_for(100, 1,
                                      [&](int64_t begin, int64_t) {
                                        if (begin == bad) throw Error("bad chunk");
                                      }),
                    Error);
    std::atomic<int> chunks = 0;
    pool.parallel_for(100, 1, [&](int64_t, int64_t) { ++chunks; });
    CHECK(chunks == 100);
  }
  CHECK_THROWS_AS(ThreadPool(0), Error);
  CHECK_THROWS_AS(pool.set_threads(-1), Error);
}

TEST_CASE("thread pool: a loop inside a chunk runs in its thread") {
  ThreadPool pool(3);
  std::atomic<int> wrong = 0, chunks = 0;
  pool.parallel_for(8, 1, [&](int64_t, int64_t) {
    const auto here = std::this_thread::get_id();
    pool.parallel_for(20, 3, [&](int64_t begin, int64_t) {
      if (std::this_thread::get_id() != here || begin % 3 != 0) ++wrong;
      ++chunks;
    });
  });
  CHECK(wrong == 0);
  CHECK(chunks == 8 * 7);
}
