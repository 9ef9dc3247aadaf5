// Courier: a thread that runs a team's errands while its owner computes. What it does in the end is what its
// owner would have done, in the same order; only the time is another.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "team/team.h"

namespace chapbook {

class Courier {
 public:
  using Errand = std::function<void(Team&)>;

  explicit Courier(Team& team);
  // Errands that have not begun are dropped: their owner has failed, and all are about to end.
  ~Courier();
  Courier(const Courier&) = delete;

  void send(Errand errand);  // all workers send the same errands in the same order
  // Until all are done; throws what one of them threw. Only then may its owner use the team itself.
  void wait();

 private:
  void run();

  Team& team_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Errand> errands_;  // of which the first is under way
  std::exception_ptr error_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace chapbook
