// Reshaping without a copy, case by case and with words; tests/tensor/test_view.cpp then tries thousands.
#include "tensor/tensor.h"
#include "tests/support/show.h"

using namespace chapbook;

static View gapless(const Shape& shape) {
  static char nowhere;
  return {&nowhere, DType::u8, shape, contiguous_strides(shape)};
}

static std::string question(const View& x, const Shape& to) {
  return fmt::format("shape {}, strides {}, asked for in the shape {}, ", x.shape, x.strides, to);
}

static void check_strides(const View& x, const Shape& to, const Strides& wanted) {
  if (!x.can_reshape(to)) FAIL(question(x, to), "is refused; the strides ", wanted.to_string(), " do it");
  const Strides got = x.reshape(to).strides;
  for (int i = 0; i < to.rank; ++i)  // the stride along an axis of size 1 is never used
    if (to[i] != 1 && got[i] != wanted[i])
      FAIL(question(x, to), "gets the strides ", got.to_string(), "; wanted are ", wanted.to_string());
}

static void check_refused(const View& x, const Shape& to) {
  if (x.can_reshape(to))
    FAIL(question(x, to), "gets the strides ", x.reshape(to).strides.to_string(), "; no strides do it");
}

TEST_CASE("gapless rows take every shape") {
  check_strides(gapless({4, 6}), {2, 12}, {12, 1});
  check_strides(gapless({4, 6}), {24}, {1});
  check_strides(gapless({4, 6}), {2, 2, 1, 6}, {12, 6, 6, 1});
}

TEST_CASE("an axis of any stride can be split") {
  check_strides(gapless({4, 6}).transpose(0, 1), {2, 3, 4}, {3, 1, 6});
  check_strides(gapless({4, 6}).slice(1, 0, 3), {2, 2, 3}, {12, 6, 1});
  check_strides(gapless({1}).broadcast_to({6}), {2, 3}, {0, 0});
}

TEST_CASE("axes join only where they lie one behind the other") {
  check_refused(gapless({4, 6}).transpose(0, 1), {24});
  check_refused(gapless({4, 6}).slice(1, 0, 3), {12});
  check_strides(gapless({4, 6, 2}).slice(1, 0, 3), {4, 6}, {12, 1});
  check_refused(gapless({2, 5, 3, 4}).transpose(1, 2), {2, 5, 12});
}

TEST_CASE("axes of size 1 come and go") {
  check_strides(gapless({4, 6}).slice(1, 0, 3), {4, 1, 3, 1}, {6, 0, 1, 0});
  check_strides(gapless({4, 1, 6}).slice(2, 0, 3), {4, 3}, {6, 1});
}
