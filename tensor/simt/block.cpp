#include "tensor/simt/block.h"

#include <bit>

#include "tensor/check.h"
#include "tensor/simt/counters.h"
#include "tensor/simt/watch.h"

namespace chapbook::simt {

Block block;

void Block::resize(dim3 threads, bool reversed) {
  threads_.assign(threads.count(), {});
  for (unsigned i = 0; i < threads.count(); ++i)
    threads_[i].index = {i % threads.x, i / threads.x % threads.y, i / threads.x / threads.y};
  warps_ = (static_cast<int>(threads.count()) + warp_lanes - 1) / warp_lanes;
  reversed_ = reversed;
}

uint32_t Block::existing(int warp) const {
  const int count = static_cast<int>(threads_.size()) - warp * warp_lanes;
  return count >= warp_lanes ? ~0u : (1u << count) - 1;
}

void Block::run(void (*body)(const void*), const void* arguments) {
  body_ = body;
  arguments_ = arguments;
  for (Thread& thread : threads_) thread.fiber = nullptr, thread.state = State::can_run;
  for (int warp = 0; warp < warps_; ++warp) can_run_[warp] = existing(warp);
  ended_ = meeting_ = {};
  alive_ = static_cast<int>(threads_.size());
  at_barrier_ = predicates_ = 0;
  warp_ = reversed_ ? warps_ - 1 : 0;
  running_ = next();
  switch_to(idle_fiber());
  if (!thrown_ && !say_) return;
  if (say_) thrown_ = std::make_exception_ptr(Error(std::exchange(say_, nullptr)(to_say_)));
  fibers_.clear();  // the other threads are left where they stand
  idle_.clear();
  std::rethrow_exception(std::exchange(thrown_, nullptr));
}

// A fiber runs one thread after the other; only when a thread must wait is another fiber needed.
void Block::run_threads() {
  for (;;) {
    try {
      block.threads_[static_cast<size_t>(block.running_)].fiber = block.fiber_;
      watching = true;
      block.body_(block.arguments_);
    } catch (...) {
      block.thrown_ = std::current_exception();
    }
    watching = false;
    if (block.thrown_) block.switch_to(block.outside_);
    block.end_thread();
  }
}

void Block::leave() {
  watching = false;
  switch_to(outside_);
}

void Block::end_thread() {
  threads_[static_cast<size_t>(running_)].state = State::ended;
  const int warp = running_ / warp_lanes;
  ended_[warp] |= 1u << running_ % warp_lanes;
  --alive_;
  if (meeting_[warp]) {  // nobody waits for an ended lane
    const int lane = std::countr_zero(meeting_[warp]);
    try_to_meet(warp, threads_[static_cast<size_t>(warp * warp_lanes + lane)]);
  }
  const int to = next();
  Fiber* fiber = to < 0 ? &outside_ : threads_[static_cast<size_t>(to)].fiber;
  running_ = to;
  if (!fiber) return;  // begins on this fiber
  idle_.push_back(fiber_);
  switch_to(*fiber);
}

// The running thread has noted what it waits for.
void Block::give_way() {
  const int to = next();
  if (to == running_) return;
  running_ = to;
  Fiber* fiber = threads_[static_cast<size_t>(to)].fiber;
  switch_to(fiber ? *fiber : idle_fiber());
}

void Block::switch_to(Fiber& fiber) {
  Fiber& from = *fiber_;
  fiber_ = &fiber;
  Fiber::jump(from, fiber);
}

Fiber& Block::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(&Block::run_threads, fibers_.size()));
    idle_.push_back(fibers_.back().get());
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return *fiber;
}

int Block::next() {
  if (alive_ == 0) return -1;
  if (alive_ == at_barrier_) open_barrier();
  for (int step = 0; step < warps_; ++step) {
    uint32_t& lanes = can_run_[warp_];
    if (lanes) {
      const int lane = reversed_ ? 31 - std::countl_zero(lanes) : std::countr_zero(lanes);
      lanes &= ~(1u << lane);
      return warp_ * warp_lanes + lane;
    }
    warp_ = (warp_ + (reversed_ ? warps_ - 1 : 1)) % warps_;
  }
  fault([this] { return what_waits(); });
  return -1;
}

int Block::barrier(bool predicate, Line line) {
  Thread& self = threads_[static_cast<size_t>(running_)];
  self.state = State::at_barrier;
  self.line = line;
  ++at_barrier_;
  predicates_ += predicate;
  give_way();
  return answer_;
}

void Block::open_barrier() {
  for (const Thread& thread : threads_)
    if (thread.state == State::ended || thread.line != threads_[0].line)
      fault([this] { return what_waits(); });
  for (Thread& thread : threads_) thread.state = State::can_run;
  for (int warp = 0; warp < warps_; ++warp) can_run_[warp] = existing(warp);
  warp_ = reversed_ ? warps_ - 1 : 0;
  order.open_barrier();
  if (counting) ++counting->barriers;
  answer_ = predicates_;
  at_barrier_ = predicates_ = 0;
}

void Block::meet(uint32_t mask, void* mine, Finish* finish, Line line) {
  const int warp = running_ / warp_lanes;
  Thread& self = threads_[static_cast<size_t>(running_)];
  self.state = State::meeting;
  self.line = line;
  self.mask = mask;
  self.brought = mine;
  self.finish = finish;
  meeting_[warp] |= 1u << running_ % warp_lanes;
  try_to_meet(warp, self);
  give_way();
}

// If all lanes that `one` waits for are at the same line, they go on.
void Block::try_to_meet(int warp, const Thread& one) {
  const uint32_t awaited = one.mask & existing(warp) & ~ended_[warp];
  if (awaited & ~meeting_[warp]) return;
  Thread* const first = &threads_[static_cast<size_t>(warp * warp_lanes)];
  void* brought[warp_lanes] = {};
  for (int lane = 0; lane < warp_lanes; ++lane) {
    if (!(awaited >> lane & 1)) continue;
    if (first[lane].mask != one.mask || first[lane].line != one.line) return;
    brought[lane] = first[lane].brought;
  }
  if (one.finish) one.finish(brought);
  if (counting && one.brought != nullptr) ++counting->exchanges;
  meeting_[warp] &= ~awaited;
  can_run_[warp] |= awaited;
}

std::string Block::name(int thread) const {
  const dim3 at = thread_index(thread);
  for (const Thread& each : threads_)
    if (each.index.y || each.index.z) return fmt::format("thread ({}, {}, {})", at.x, at.y, at.z);
  return fmt::format("thread {}", at.x);
}

// For when nobody can run: the first thread, and the first one that does something else.
std::string Block::what_waits() const {
  const auto doing = [&](const Thread& thread) {
    switch (thread.state) {
      case State::at_barrier:
        return fmt::format("waits at the barrier of {}", where(thread.line));
      case State::meeting:
        return fmt::format("waits for lanes {:#010x} at {}", thread.mask, where(thread.line));
      default:
        return std::string("has ended");
    }
  };
  const std::string first = doing(threads_[0]);
  for (size_t i = 1; i < threads_.size(); ++i)
    if (const std::string other = doing(threads_[i]); other != first)
      return fmt::format("{} {}, {} {}", name(0), first, name(static_cast<int>(i)), other);
  return fmt::format("every thread {}", first);
}

}  // namespace chapbook::simt
