#include "autograd/watch.h"

namespace chapbook {

Watch::Watch() : before_(current_watch) { current_watch = this; }
Watch::~Watch() { current_watch = before_; }

void Within::enter(const std::string& part, const SourceLine& where) {
  length_ = watch_->path_.size();
  where_ = watch_->where_;
  watch_->path_ += part + '.';
  watch_->where_ = where;
}

void Within::leave() {
  watch_->path_.resize(length_);
  watch_->where_ = where_;
}

}  // namespace chapbook
