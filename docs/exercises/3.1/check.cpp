// Loop: which axes become one, and that every number is still found where it is.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tensor/loop.h"

using namespace chapbook;

static View dense(const Shape& shape) { return {nullptr, DType::f32, shape, contiguous_strides(shape)}; }

// The loop of y = a + b, which must have these rows and find each number where offset_of does.
static void check_loop(const std::string& what, const View& a, const View& b, const Shape& wanted) {
  const Shape shape = broadcast(a.shape, b.shape, "add");
  const View y = dense(shape), left = a.broadcast_to(shape), right = b.broadcast_to(shape);
  const Loop<3> loop(shape, {y.strides, left.strides, right.strides});
  if (!(loop.shape == wanted))
    FAIL(fmt::format("{}: the loop's axes are {}; wanted are {}", what, loop.shape.to_string(),
                     wanted.to_string()));
  for (int64_t i = 0; i < shape.count(); ++i) {
    const auto at = loop.at(i);
    for (int operand = 0; operand < 3; ++operand) {
      const View& view = operand == 0 ? y : operand == 1 ? left : right;
      const int64_t here = offset_of(i, shape, view.strides);
      if (at[operand] != here)
        FAIL(fmt::format("{}: number {} of {} is at {}, and the loop looks at {}", what, i,
                         operand == 0   ? "y"
                         : operand == 1 ? "a"
                                        : "b",
                         here, at[operand]));
    }
  }
}

TEST_CASE("without gaps, all axes are one") {
  check_loop("(2, 3, 4) + (2, 3, 4)", dense({2, 3, 4}), dense({2, 3, 4}), {24});
}

TEST_CASE("a row for all rows: the last axis stays by itself") {
  check_loop("(2, 3, 4) + (4)", dense({2, 3, 4}), dense({4}), {6, 4});
  check_loop("(4) + (2, 3, 4)", dense({4}), dense({2, 3, 4}), {6, 4});
}

TEST_CASE("a number for each row") {
  check_loop("(2, 3, 4) + (2, 1, 1)", dense({2, 3, 4}), dense({2, 1, 1}), {2, 12});
  check_loop("(2, 3, 4) + (1)", dense({2, 3, 4}), dense({1}), {24});
}

TEST_CASE("a stretched axis in the middle") {
  check_loop("(2, 3, 4) + (2, 1, 4)", dense({2, 3, 4}), dense({2, 1, 4}), {2, 3, 4});
}

TEST_CASE("a transposed operand") {
  check_loop("(3, 4) + (4, 3) transposed", dense({3, 4}), dense({4, 3}).transpose(0, 1), {3, 4});
}

TEST_CASE("a slice of columns: rows end before the next one begins") {
  check_loop("(3, 4) + columns 1 to 5 of (3, 6)", dense({3, 4}),
             View{nullptr, DType::f32, {3, 4}, contiguous_strides({3, 6})}, {3, 4});
}

TEST_CASE("axes of size 1 count for nothing") {
  check_loop("(1, 5, 1) + (1, 5, 1)", dense({1, 5, 1}), dense({1, 5, 1}), {5});
}
