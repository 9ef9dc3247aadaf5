#include "apps/report/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tensor/os/system.h"

namespace chapbook {
std::string short_count(double x) {
  if (!(std::abs(x) >= 999.5)) return fmt::format("{:.0f}", x);
  static constexpr const char* units[] = {"k", "M", "G", "T", "P", "E"};
  size_t unit = 0;
  for (x /= 1000; std::abs(x) >= 999.5 && unit + 1 < std::size(units); ++unit) x /= 1000;
  return fmt::format("{:.{}f}{}", x, std::abs(x) < 9.995 ? 2 : std::abs(x) < 99.95 ? 1 : 0, units[unit]);
}

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e15)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02} h", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string progress_line(std::string_view label, double share, std::string_view details,
                          std::string_view time, int width) {
  share = std::clamp(share, 0.0, 1.0);
  const std::string before = fmt::format("{} {:3.0f}%", label, std::floor(100 * share));
  std::string after;
  if (!details.empty()) after += fmt::format("  {}", details);
  if (!time.empty()) after += fmt::format("  {}", time);
  const int room = std::min(30, width - static_cast<int>(before.size() + after.size()) - 3);  // " [" and "]"
  std::string bar;
  if (room >= 5) {
    bar.assign(static_cast<size_t>(room), '.');
    std::fill_n(bar.begin(), static_cast<size_t>(std::floor(room * share)), '#');
    bar = fmt::format(" [{}]", bar);
  }
  return (before + bar + after).substr(0, static_cast<size_t>(std::max(width, 0)));
}

Progress::Progress(std::string label, double total, double done)
    : label_(std::move(label)),
      total_(total),
      first_(done),
      done_(done),
      terminal_(os::is_terminal()),
      start_(Clock::now()) {
  last_ = start_;
}

void Progress::update(double done, std::string_view details) {
  done_ = done;
  details_ = details;
  stale_ = true;
  const Clock::time_point now = Clock::now();
  if (now - last_ >= (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000)))
    show(now);
}

void Progress::show(Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string time;
  if (done_ >= total_) {
    time = fmt::format("took {}", duration(seconds));
  } else if (done_ > first_) {
    time = fmt::format("{} left", duration(seconds * (total_ - done_) / (done_ - first_)));
  }
  const double share = total_ > 0 ? done_ / total_ : 1;
  // The last column stays free: some terminals break the line when it is filled.
  const std::string line =
      progress_line(label_, share, details_, time, terminal_ ? os::terminal_width() - 1 : 1000);
  if (terminal_) {
    fmt::print(stderr, "\r{}\x1b[K", line);  // ESC [ K: clear what is left of a longer line
    std::fflush(stderr);
  } else {
    fmt::print(stderr, "{}\n", line);
  }
  shown_ = terminal_;
  stale_ = false;
  last_ = now;
}

void Progress::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  shown_ = false;
  last_ = {};
}

void Progress::finish() {
  if (stale_) show(Clock::now());
  if (shown_) fmt::print(stderr, "\n");
  shown_ = false;
}

}  // namespace chapbook
