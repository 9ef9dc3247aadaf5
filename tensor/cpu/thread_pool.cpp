#include "tensor/cpu/thread_pool.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include "tensor/check.h"
#include "tensor/cpu/processors.h"

namespace chapbook {

namespace {

constexpr int max_threads = 1024;
constexpr uint64_t one_inside = 1, inside_mask = 0xffff, open_bit = uint64_t{1} << 16,
                   one_loop = uint64_t{1} << 17;

// Whether this thread is inside a chunk: loops it starts there run inline.
thread_local bool inside_chunk = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits busily for about `limit` at most; whether `done` came true.
template <class Done>
bool spin(std::chrono::microseconds limit, Done done) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() - start < limit);
  return false;
}

}  // namespace

static void check_threads(int threads) {
  check(threads >= 1 && threads <= max_threads, "threads: {} is not in 1 to {}", threads, max_threads);
}

ThreadPool::ThreadPool(int threads) {
  check_threads(threads);
  start(threads);
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::set_threads(int threads) {
  check_threads(threads);
  std::lock_guard lock(callers_);
  stop();
  start(threads);
}

void ThreadPool::start(int threads) {
  stopping_ = false;
  stretches_ = std::vector<Stretch>(threads);
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back(&ThreadPool::work, this, i, state_.load());
  } catch (const std::system_error& error) {
    const int there = this->threads();
    stop();  // the caller's own thread is left
    fail("threads: the system gives {} of {} ({}); --threads or CHAPBOOK_THREADS ask for fewer", there,
         threads, error.code().message());
  } catch (...) {  // memory for a thread: those there are must end before the pool does
    stop();
    throw;
  }
}

void ThreadPool::stop() {
  {
    std::lock_guard lock(sleep_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::run(const Work& work) {
  const bool alone = work.count <= work.grain;
  if (alone || inside_chunk) {
    for (int64_t begin = 0; begin < work.count; begin += work.grain)
      work.call(work.body, begin, std::min(begin + work.grain, work.count));
    return;
  }
  std::lock_guard lock(callers_);
  work_ = work;
  const int64_t chunks = (work.count + work.grain - 1) / work.grain, threads = this->threads();
  for (int64_t i = 0; i < threads; ++i) {
    stretches_[i].next.store(chunks * i / threads, std::memory_order_relaxed);
    stretches_[i].end = chunks * (i + 1) / threads;
  }
  state_.fetch_add(one_loop + open_bit);  // publishes the loop
  if (sleepers_.load() > 0) {
    {
      std::lock_guard sleep_lock(sleep_mutex_);
    }  // whoever is about to sleep has looked at state_ or waits already
    wake_.notify_all();
  }
  run_chunks(0);
  // No chunk is left to begin; wait for those that workers are still in. One that never woke up is not waited
  // for.
  state_.fetch_and(~open_bit);
  const auto empty = [&] { return (state_.load() & inside_mask) == 0; };
  while (!spin(std::chrono::microseconds(50), empty)) std::this_thread::yield();
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::run_chunks(int thread) {
  inside_chunk = true;
  for (int i = 0; i < threads(); ++i) {  // its own stretch first, then what is left of the others
    Stretch& stretch = stretches_[(thread + i) % threads()];
    for (int64_t chunk; (chunk = stretch.next.fetch_add(1, std::memory_order_relaxed)) < stretch.end;) {
      const int64_t begin = chunk * work_.grain;
      try {
        work_.call(work_.body, begin, std::min(begin + work_.grain, work_.count));
      } catch (...) {
        std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
        for (Stretch& each : stretches_) each.next.store(each.end, std::memory_order_relaxed);
      }
    }
  }
  inside_chunk = false;
}

void ThreadPool::work(int thread, uint64_t seen) {
  while (true) {
    uint64_t state = wait_for_loop(seen);
    if (stopping_) return;
    seen = state & ~(open_bit | inside_mask);
    if (!(state & open_bit)) continue;  // over already
    if (!state_.compare_exchange_strong(state, state + one_inside)) {
      seen = ~uint64_t{0};  // somebody else came or went: look again
      continue;
    }
    run_chunks(thread);
    state_.fetch_sub(one_inside);
  }
}

// The state once there is a loop after the one `seen` counts, or stopping_ is set. Spins first: the loops of
// a training step follow each other within microseconds, and waking a sleeping thread takes longer than many
// of them. Then it goes on looking, but lets others run: on a virtual machine a core that has gone idle takes
// hundreds of microseconds to come back.
uint64_t ThreadPool::wait_for_loop(uint64_t seen) {
  uint64_t state = 0;
  const auto changed = [&] {
    state = state_.load();
    return (state & ~(open_bit | inside_mask)) != (seen & ~(open_bit | inside_mask)) || stopping_.load();
  };
  if (spin(std::chrono::microseconds(50), changed)) return state;
  for (const auto start = std::chrono::steady_clock::now();
       std::chrono::steady_clock::now() - start < std::chrono::milliseconds(2);) {
    if (changed()) return state;
    std::this_thread::yield();
  }
  std::unique_lock lock(sleep_mutex_);
  ++sleepers_;
  wake_.wait(lock, changed);
  --sleepers_;
  return state;
}

ThreadPool& thread_pool() {
  static ThreadPool pool([] {
    const char* text = std::getenv("CHAPBOOK_THREADS");
    if (!text) return std::min(processors(), max_threads);
    const std::string_view value = text;
    int threads = 0;
    const auto [end, error] = std::from_chars(value.begin(), value.end(), threads);
    check(error == std::errc() && end == value.end() && threads >= 1 && threads <= max_threads,
          "CHAPBOOK_THREADS: '{}' is not a number of threads from 1 to {}", value, max_threads);
    return threads;
  }());
  return pool;
}

}  // namespace chapbook
