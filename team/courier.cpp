#include "team/courier.h"

#include <utility>

namespace chapbook {

Courier::Courier(Team& team) : team_(team), thread_([this] { run(); }) {}

Courier::~Courier() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Courier::send(Errand errand) {
  const std::lock_guard lock(mutex_);
  errands_.push_back(std::move(errand));
  changed_.notify_all();
}

void Courier::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return errands_.empty() || error_; });
  if (error_) std::rethrow_exception(error_);
}

void Courier::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || (!errands_.empty() && !error_); });
    if (ended_) return;
    const Errand& errand = errands_.front();  // which stays where it is while others are added
    lock.unlock();
    std::exception_ptr error;
    try {
      errand(team_);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    error_ = error;
    errands_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace chapbook
