// How far a long job is, on stderr: a bar that redraws itself on a terminal, elsewhere a plain line every few
// seconds.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

namespace chapbook {

// "1.2k", "34.5M": three digits are enough to follow along.
std::string short_count(double x);
// "42 s", "3:05 min", "1:02:07 h".
std::string duration(double seconds);

// One line of at most `width` characters; `share` is 0 to 1; `time` is "3 s left" or the like, or empty. The
// bar shrinks first, then goes, then the end of the line is cut.
std::string progress_line(std::string_view label, double share, std::string_view details,
                          std::string_view time, int width);

class Progress {
 public:
  // A job that resumes starts at `done` of `total`, so that the time left counts only what is done from here
  // on.
  Progress(std::string label, double total, double done = 0);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;

  // Cheap enough for every step: redraws ten times a second at most, or prints a line every ten seconds.
  void update(double done, std::string_view details = {});

  // Ends the bar's line and shows the state it ended in. Then the next update starts a new one.
  void finish();

  // Takes the bar away so that something else can be printed; the next update draws it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void show(Clock::time_point now);

  std::string label_, details_;
  double total_, first_, done_;
  bool terminal_, shown_ = false,
                  stale_ = false;  // shown: a bar is on the terminal's line; stale: it is not the last state
  Clock::time_point start_, last_{};
};

}  // namespace chapbook
