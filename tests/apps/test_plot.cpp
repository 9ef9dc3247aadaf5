#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "apps/report/plot.h"
#include "tensor/check.h"
#include "tensor/files.h"

using namespace chapbook;
using Numbers = std::vector<double>;

static const double nan_value = std::numeric_limits<double>::quiet_NaN();

static Plot example() {
  Plot plot{.title = "Loss & <tokens>", .x_label = "tokens", .y_label = "loss", .lines = {}};
  Line batch{"batch", {}, {}, true};
  for (int i = 1; i <= 40; ++i) {
    batch.x.push_back(i * 50'000);
    batch.y.push_back(1 + 6 / std::sqrt(i) + (i % 3) / 4.0);
  }
  plot.lines = {batch,
                {"validation", {500'000, 1'000'000, 1'500'000, 2'000'000}, {3.125, nan_value, 2.5, 2.25}}};
  return plot;
}

TEST_CASE("the picture is the committed one, byte for byte") {
  const std::string path = CHAPBOOK_SOURCE_DIR "/tests/golden/plot/example.svg";
  const std::string drawn = svg(example());
  if (std::getenv("CHAPBOOK_WRITE_GOLDEN")) write_file(path, drawn);  // then look at it
  CHECK(drawn == read_file(path));
}

TEST_CASE("ticks are round, inside, and about as many as asked") {
  CHECK(ticks(0, 10, 5, false) == Numbers{0, 2, 4, 6, 8, 10});
  CHECK(ticks(0.3, 2.2, 4, false) == Numbers{0.5, 1, 1.5, 2});
  CHECK(ticks(-1, 1, 4, false) == Numbers{-1, -0.5, 0, 0.5, 1});
  CHECK(ticks(0, 2e6, 7, false).size() == 5);
  CHECK(ticks(1, 1000, 6, true) == Numbers{1, 10, 100, 1000});
  CHECK(ticks(1, 12, 6, true) == Numbers{1, 2, 5, 10});
  CHECK(ticks(2, 5, 6, true) == Numbers{2, 3, 4, 5});
  CHECK(ticks(1, 1e12, 6, true).size() <= 7);
}

TEST_CASE("pictures of little or nothing") {
  for (const bool logarithmic : {false, true})
    for (const Numbers& numbers : {Numbers{}, {nan_value}, {3}, {3, 3, 3}, {0}, {-1, 0}, {1e-30, 1e30}}) {
      const Plot plot{.title = "t",
                      .x_label = "x",
                      .y_label = "y",
                      .log_x = logarithmic,
                      .log_y = logarithmic,
                      .lines = {{"line", numbers, numbers}}};
      const std::string drawn = svg(plot);
      CAPTURE(drawn);
      CHECK(drawn.ends_with("</svg>\n"));
      CHECK(drawn.find("nan") == std::string::npos);
      CHECK(drawn.find("inf") == std::string::npos);
    }
  CHECK_THROWS_AS(svg({.title = "", .x_label = "", .y_label = "", .lines = {{"line", {1, 2}, {1}}}}), Error);
}

TEST_CASE("names that do not fit beside each other stand in rows, and the picture grows by them") {
  Plot plot{.title = "", .x_label = "", .y_label = "", .lines = {}};
  for (const char* which : {"first", "second", "third"})
    plot.lines.push_back({std::string("the curve of the ") + which + " of three runs", {1, 2}, {1, 2}});
  const std::string drawn = svg(plot);
  CHECK(drawn.find("y=\"49.5\">the curve of the second") != std::string::npos);
  CHECK(drawn.find("<text x=\"88\" y=\"69.5\">the curve of the third") != std::string::npos);
  CHECK(drawn.find("height=\"440\"") != std::string::npos);
}

TEST_CASE("a line that has the colour of one before is dashed") {
  Plot plot{.title = "", .x_label = "", .y_label = "", .lines = {}};
  for (size_t i = 0; i <= colours; ++i) plot.lines.push_back({"line", {1, 2}, {1, 2}});
  const std::string drawn = svg(plot);
  CHECK(drawn.find("class=\"line c0\" stroke-linecap") != std::string::npos);
  CHECK(drawn.find("class=\"line c0\" stroke-dasharray") != std::string::npos);
  CHECK(drawn.find("class=\"line c1\" stroke-dasharray") == std::string::npos);
}

TEST_CASE("a long line is drawn as its means, a few bytes a pixel") {
  Plot plot{.title = "", .x_label = "", .y_label = "", .lines = {{"line", {}, {}}}};
  for (int i = 0; i < 1'000'000; ++i) plot.lines[0].x.push_back(i), plot.lines[0].y.push_back(i % 2);
  const std::string drawn = svg(plot);
  CHECK(drawn.size() < 20'000);
  CHECK(drawn.find(" 216.0 L") != std::string::npos);  // the middle of the picture: the mean of 0 and 1
}
