// Thread pool: one loop at a time, cut into chunks that depend only on its length and grain, never on the
// number of threads. A kernel that adds up its chunks in order therefore gives the same bits on any machine.
// Each thread has a stretch of the loop of its own, the same in every loop of a length, so that it finds in
// its cache what it wrote there in the loop before; one that has finished helps the others, so a slow thread
// holds nobody up.
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace chapbook {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }  // the caller is one of them
  void set_threads(int threads);

  // Calls f(begin, end) for [0, grain), [grain, 2 grain), ... up to count and returns when all are done. The
  // first exception of a chunk reaches the caller, and chunks not yet begun are dropped. A call from inside a
  // chunk runs in the thread that makes it.
  template <class F>
  void parallel_for(int64_t count, int64_t grain, F&& f) {
    using Body = std::remove_reference_t<F>;
    const auto call = [](const void* body, int64_t begin, int64_t end) {
      (*const_cast<Body*>(static_cast<const Body*>(body)))(begin, end);
    };
    run({call, std::addressof(f), count, std::max<int64_t>(grain, 1)});
  }

 private:
  struct Work {
    void (*call)(const void* body, int64_t begin, int64_t end) = nullptr;
    const void* body = nullptr;
    int64_t count = 0, grain = 1;
  };

  void run(const Work& work);
  void run_chunks(int thread);
  void work(int thread, uint64_t seen);
  uint64_t wait_for_loop(uint64_t seen);
  void start(int threads);
  void stop();

  std::vector<std::thread> workers_;
  std::mutex callers_;  // held by the thread whose loop runs

  Work work_;                   // the current loop; only written while no worker is inside
  struct alignas(64) Stretch {  // chunks `next` to `end` are still to be taken
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Stretch> stretches_;  // one for each thread
  std::mutex error_mutex_;
  std::exception_ptr error_;

  // Bits 0-15: workers inside the loop; bit 16: open to workers; from bit 17: how many loops there have been.
  std::atomic<uint64_t> state_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> sleepers_{0};
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
};

// The pool of the cpu backend: as many threads as the environment variable CHAPBOOK_THREADS says, else as
// there are processors for this process (processors.h).
ThreadPool& thread_pool();

template <class F>
void parallel_for(int64_t count, int64_t grain, F&& f) {
  thread_pool().parallel_for(count, grain, f);
}

}  // namespace chapbook
