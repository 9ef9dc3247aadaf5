// A team of threads of this process: the same calls as with processes, where a test can look at all of them.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "team/team.h"
#include "tensor/check.h"

namespace chapbook {

// Runs `work` in `size` threads, each with its place in one team; the first exception comes out here.
inline void in_threads(int size, const std::function<void(Team&)>& work) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::deque<std::vector<std::byte>>> boxes;  // from * size + to
    std::vector<bool> left;                                 // done, and gives no more
    std::exception_ptr error;
  } shared;
  shared.boxes.resize(size * size);
  shared.left.resize(size);

  class Member : public Team {
   public:
    Member(int rank, int size, Shared& shared) : rank_(rank), size_(size), shared_(shared) {}
    int rank() const override { return rank_; }
    int size() const override { return size_; }

   private:
    void swap(int peer, std::span<const std::byte> send, std::span<std::byte> receive) override {
      std::unique_lock lock(shared_.mutex);
      shared_.boxes[rank_ * size_ + peer].emplace_back(send.begin(), send.end());
      shared_.changed.notify_all();
      auto& box = shared_.boxes[peer * size_ + rank_];
      shared_.changed.wait(lock, [&] { return !box.empty() || shared_.error || shared_.left[peer]; });
      if (shared_.error) fail("another worker has failed");
      check(!box.empty(), "worker {} has ended although worker {} still waits for it", peer, rank_);
      check(box.front().size() == receive.size(), "{} bytes came where {} were expected", box.front().size(),
            receive.size());
      std::ranges::copy(box.front(), receive.begin());
      box.pop_front();
    }
    int rank_, size_;
    Shared& shared_;
  };

  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      Member member(rank, size, shared);
      try {
        work(member);
      } catch (...) {
        std::lock_guard lock(shared.mutex);
        if (!shared.error) shared.error = std::current_exception();
      }
      std::lock_guard lock(shared.mutex);
      shared.left[rank] = true;
      shared.changed.notify_all();
    });
  for (std::thread& thread : threads) thread.join();
  if (shared.error) std::rethrow_exception(shared.error);
}

}  // namespace chapbook
