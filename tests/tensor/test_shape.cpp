// Shapes: stretching, reducing, and the texts of their errors.
#include "tensor/shape.h"

#include <doctest/doctest.h>

#include "tests/support/show.h"

using namespace chapbook;

TEST_CASE("shape: negative axes count from the end") {
  const Shape shape{2, 3, 4};
  CHECK(shape.count() == 24);
  CHECK(shape[-1] == 4);
  CHECK(shape[-3] == 2);
  CHECK(shape.axis(-1, "op") == 2);
  CHECK(shape.axis(2, "op") == 2);
  CHECK(shape.with(-2, 7) == Shape{2, 7, 4});
  CHECK(shape.without(-1) == Shape{2, 3});
  CHECK(shape.without(0) == Shape{3, 4});
  CHECK_THROWS_WITH_AS(shape.axis(3, "sum"), "sum: no axis 3 in shape (2, 3, 4)", Error);
  CHECK_THROWS_WITH_AS(shape.axis(-4, "sum"), "sum: no axis -4 in shape (2, 3, 4)", Error);
  CHECK_THROWS_WITH_AS(Shape{}.axis(0, "sum"), "sum: no axis 0 in shape ()", Error);
}

TEST_CASE("shape: text, equality, rank") {
  CHECK(Shape{}.to_string() == "()");
  CHECK(Shape{5}.to_string() == "(5,)");
  CHECK(fmt::format("{}", Shape{2, 0, 3}) == "(2, 0, 3)");
  CHECK(Shape{}.count() == 1);
  CHECK(Shape{2, 0, 3}.count() == 0);
  CHECK(Shape{2, 3} != Shape{2, 3, 1});
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{1, 1, 1, 1, 1, 1}.rank == 6);
  CHECK_THROWS_WITH_AS((Shape{1, 1, 1, 1, 1, 1, 1}), "shape: 7 axes, at most 6 are possible", Error);
}

TEST_CASE("shape: strides of gapless rows") {
  CHECK(contiguous_strides({2, 3, 4}) == Strides{12, 4, 1});
  CHECK(contiguous_strides({}) == Strides{});
  CHECK(contiguous_strides({5}) == Strides{1});
}

TEST_CASE("shape: what can be counted") {
  const int64_t big = int64_t{1} << 40;
  CHECK(Shape{}.countable());
  CHECK(Shape{0, 3}.countable());
  CHECK(Shape{big, 1 << 19}.countable());
  CHECK(!Shape{big, 1 << 20}.countable());
  CHECK(!Shape{big, big}.countable());  // 2^80, which is 0 in 64 bits
  CHECK(!Shape{0, big, big}.countable());
  CHECK(!Shape{-1}.countable());
  CHECK(!Shape{-2, -3}.countable());
  CHECK(!Shape{INT64_MIN, INT64_MIN}.countable());
  CHECK(!Shape{INT64_MAX, 2}.countable());
}

TEST_CASE("shape: broadcast") {
  CHECK(broadcast({2, 3}, {2, 3}, "add") == Shape{2, 3});
  CHECK(broadcast({2, 3}, {3}, "add") == Shape{2, 3});
  CHECK(broadcast({3}, {2, 3}, "add") == Shape{2, 3});
  CHECK(broadcast({2, 1}, {1, 3}, "add") == Shape{2, 3});
  CHECK(broadcast({}, {2, 3}, "add") == Shape{2, 3});
  CHECK(broadcast({}, {}, "add") == Shape{});
  CHECK(broadcast({4, 1, 3}, {5, 1}, "add") == Shape{4, 5, 3});
  CHECK(broadcast({1, 3}, {0, 3}, "add") == Shape{0, 3});
  CHECK_THROWS_WITH_AS(broadcast({2, 3}, {2, 4}, "add"),
                       "add: shapes (2, 3) and (2, 4) do not stretch to each other (axis 1 from the end)",
                       Error);
  CHECK_THROWS_WITH_AS(
      broadcast({4, 3}, {2, 4, 5, 3}, "mul"),
      "mul: shapes (4, 3) and (2, 4, 5, 3) do not stretch to each other (axis 2 from the end)", Error);
  CHECK_THROWS_AS(broadcast({0}, {3}, "add"), Error);
}

TEST_CASE("shape: reduced") {
  CHECK(reduced({2, 3, 4}, {}, false, "sum") == Shape{});
  CHECK(reduced({2, 3, 4}, {}, true, "sum") == Shape{1, 1, 1});
  CHECK(reduced({2, 3, 4}, {1}, false, "sum") == Shape{2, 4});
  CHECK(reduced({2, 3, 4}, {-1, 0}, false, "sum") == Shape{3});
  CHECK(reduced({2, 3, 4}, {-1, 0}, true, "sum") == Shape{1, 3, 1});
  CHECK(reduced({}, {}, false, "sum") == Shape{});
  CHECK_THROWS_WITH_AS(reduced({2, 3}, {0, 2}, false, "mean"), "mean: no axis 2 in shape (2, 3)", Error);
}
