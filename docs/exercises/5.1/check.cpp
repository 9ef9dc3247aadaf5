// Panels: a layout, number by number.
#include "bench/ladder/panels.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace chapbook::ladder;

template <int width>
static void check_panels(const std::string& what, int64_t count, int64_t k, const std::vector<float>& x,
                         int64_t step, int64_t k_step, const std::vector<float>& wanted) {
  std::vector<float> panels(wanted.size() + 8, -7.0f);  // what lies behind must stay
  pack<width>(count, k, x.data(), step, k_step, panels.data());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (!(panels[i] == wanted[i]))
      FAIL(fmt::format("{}: number {}, counted from 0, of the panels is {}; wanted is {}", what, i, panels[i],
                       wanted[i]));
  for (size_t i = wanted.size(); i < panels.size(); ++i)
    if (!(panels[i] == -7.0f)) FAIL(fmt::format("{}: something is written behind the last panel", what));
}

// Rows (1, 2, 3), (4, 5, 6), ... of a matrix with 3 columns.
static std::vector<float> rows(int64_t count) {
  std::vector<float> x(static_cast<size_t>(count * 3));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  return x;
}

TEST_CASE("one panel of two rows") {
  check_panels<2>("rows (1, 2, 3), (4, 5, 6) in panels of 2", 2, 3, rows(2), 3, 1, {1, 4, 2, 5, 3, 6});
}
TEST_CASE("a panel of one row is that row") { check_panels<1>("panels of 1", 2, 3, rows(2), 3, 1, rows(2)); }
TEST_CASE("two panels, one behind the other") {
  check_panels<2>("four rows in panels of 2", 4, 3, rows(4), 3, 1, {1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12});
}
TEST_CASE("the last panel is filled up with 0") {
  check_panels<2>("three rows in panels of 2", 3, 3, rows(3), 3, 1, {1, 4, 2, 5, 3, 6, 7, 0, 8, 0, 9, 0});
  check_panels<4>("three rows in panels of 4", 3, 3, rows(3), 3, 1, {1, 4, 7, 0, 2, 5, 8, 0, 3, 6, 9, 0});
}
TEST_CASE("columns: the other step") {
  check_panels<2>("columns of the same, in panels of 2", 3, 2, rows(2), 1, 3, {1, 2, 4, 5, 3, 0, 6, 0});
}
