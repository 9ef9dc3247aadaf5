// Block: the threads of one block of a launch, and whose turn it is. A warp runs as long as one of its lanes
// can, then the next warp: greedily, because threads that take turns evenly hide a missing barrier.
#pragma once
#include <array>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "tensor/simt/fiber.h"
#include "tensor/simt/machine.h"

namespace chapbook::simt {

constexpr int warp_lanes = 32;

class Block {
 public:
  // How many threads the blocks to come have; `reversed` lets the last warp and lane begin.
  void resize(dim3 threads, bool reversed);
  // Runs `body(arguments)` once for each thread. Throws what `fault` was told, or what a thread threw.
  void run(void (*body)(const void*), const void* arguments);

  // Called by the running thread.
  int barrier(bool predicate, Line line);
  void meet(uint32_t mask, void* mine, Finish* finish, Line line);
  // Ends the block with the error `say()`, and does not return to the thread: its stack is dropped without
  // destructors, so the text is made outside.
  template <class F>
  void fault(const F& say) {
    say_ = [](const void* f) -> std::string { return (*static_cast<const F*>(f))(); };
    to_say_ = &say;
    leave();
  }

  dim3 thread_index(int thread) const { return threads_[static_cast<size_t>(thread)].index; }
  std::string name(int thread) const;  // "thread 3", "thread (3, 1, 0)"
  int running() const { return running_; }
  const Fiber& fiber() const { return *fiber_; }

 private:
  enum class State : uint8_t { can_run, at_barrier, meeting, ended };
  struct Thread {
    dim3 index;
    State state = State::can_run;
    Fiber* fiber = nullptr;  // null: it has not begun
    Line line{};             // where it waits
    uint32_t mask = 0;       // while meeting: with whom, and what for
    void* brought = nullptr;
    Finish* finish = nullptr;
  };

  static void run_threads();  // what a fiber does
  void leave();
  void end_thread();
  void give_way();
  void switch_to(Fiber& fiber);
  Fiber& idle_fiber();
  int next();  // who runs now; -1: nobody, the block is done
  void open_barrier();
  void try_to_meet(int warp, const Thread& one);
  std::string what_waits() const;
  uint32_t existing(int warp) const;  // lanes

  std::vector<Thread> threads_;
  std::array<uint32_t, 32> can_run_{}, ended_{}, meeting_{};  // bits of lanes, for each warp
  int warps_ = 0, warp_ = 0, running_ = 0;
  int alive_ = 0, at_barrier_ = 0;   // threads
  int predicates_ = 0, answer_ = 0;  // of the barrier
  bool reversed_ = false;

  void (*body_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  Fiber outside_;  // of the caller of run()
  Fiber* fiber_ = &outside_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  std::string (*say_)(const void*) = nullptr;
  const void* to_say_ = nullptr;
  std::exception_ptr thrown_;
};

extern Block block;  // the one that runs: blocks run one after the other

}  // namespace chapbook::simt
