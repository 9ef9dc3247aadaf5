#include <doctest/doctest.h>

#include "apps/report/progress.h"

using namespace chapbook;

TEST_CASE("counts in three digits") {
  CHECK(short_count(0) == "0");
  CHECK(short_count(999) == "999");
  CHECK(short_count(999.7) == "1.00k");
  CHECK(short_count(1234) == "1.23k");
  CHECK(short_count(9996) == "10.0k");
  CHECK(short_count(34'560) == "34.6k");
  CHECK(short_count(99'960) == "100k");
  CHECK(short_count(999'600) == "1.00M");
  CHECK(short_count(1.5e9) == "1.50G");
}

TEST_CASE("durations") {
  CHECK(duration(0.4) == "0 s");
  CHECK(duration(59.6) == "1:00 min");
  CHECK(duration(185) == "3:05 min");
  CHECK(duration(3727) == "1:02:07 h");
  CHECK(duration(-3) == "0 s");
}

TEST_CASE("a line fits its width: the bar shrinks, then goes, then the end is cut") {
  const auto line = [](int width) { return progress_line("train", 0.425, "loss 2.31", "3 s left", width); };
  CHECK(line(100) == "train  42% [############..................]  loss 2.31  3 s left");
  CHECK(line(46) == "train  42% [#####.......]  loss 2.31  3 s left");
  CHECK(line(40) == "train  42% [##....]  loss 2.31  3 s left");
  CHECK(line(36) == "train  42%  loss 2.31  3 s left");
  CHECK(line(20) == "train  42%  loss 2.3");
  for (int width = 0; width < 120; ++width) CHECK(line(width).size() <= static_cast<size_t>(width));
  CHECK(progress_line("x", 1, "", "", 80) == "x 100% [##############################]");
  CHECK(progress_line("x", 7, "", "", 10) == "x 100%");
  CHECK(progress_line("x", -1, "", "", 10) == "x   0%");
}
