// Watch: who wants to see what is computed in this thread while it lives, and may change it. Ops tell it what
// they record; layers give names to what they have made, "2.attention.heads", which is all that looking
// inside a model and changing it needs (apps/run/xray.h). Without one, a name costs a comparison and a
// handle's copy.
#pragma once
#include <string>

#include "autograd/variable.h"

namespace chapbook {

// Of the caller, where it is the default of a parameter: std::source_location, which clang 14 does not have.
struct SourceLine {
  const char* file = "";
  int line = 0;
  static SourceLine current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

class Watch {
 public:
  Watch();
  virtual ~Watch();
  Watch(const Watch&) = delete;

  // An op has been recorded (not under NoGrad). Who changes its edges changes the way back.
  virtual void recorded(Node& /*node*/, const Tensor& /*value*/) {}
  // A layer has made this value; what is given back is what it goes on with.
  virtual Variable named(const std::string& /*name*/, const Variable& x) { return x; }

  // Where the computation is: "2.attention.", and the line of the layer that says so.
  const std::string& path() const { return path_; }
  const SourceLine& where() const { return where_; }

 private:
  friend class Within;
  Watch* before_;
  std::string path_;
  SourceLine where_;
};

inline thread_local Watch* current_watch = nullptr;
inline bool watched() { return current_watch != nullptr; }

// Gives x a name, inside the parts that are being computed.
inline Variable named(std::string_view name, const Variable& x) {
  return watched() ? current_watch->named(current_watch->path() + std::string(name), x) : x;
}

// While it lives, a part of this name is being computed.
class Within {
 public:
  explicit Within(std::string_view part, SourceLine where = SourceLine::current()) : watch_(current_watch) {
    if (watch_) enter(std::string(part), where);
  }
  explicit Within(int64_t part, SourceLine where = SourceLine::current()) : watch_(current_watch) {
    if (watch_) enter(std::to_string(part), where);
  }
  ~Within() {
    if (watch_) leave();
  }
  Within(const Within&) = delete;

 private:
  void enter(const std::string& part, const SourceLine& where);
  void leave();

  Watch* watch_;
  size_t length_ = 0;  // of the path before
  SourceLine where_;
};

}  // namespace chapbook
