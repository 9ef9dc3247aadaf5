// Softmax on the reference backend.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"

using namespace chapbook;

static std::vector<double> softmax_of(const std::vector<double>& x, const Shape& shape) {
  return softmax(Tensor::from(x, shape, backend("reference"))).to_vector<double>();
}

static void check_numbers(const std::string& what, const std::vector<double>& got,
                          const std::vector<double>& wanted) {
  for (size_t j = 0; j < wanted.size(); ++j)
    if (!(std::abs(got[j] - wanted[j]) <= 1e-12))
      FAIL(fmt::format("softmax of {}: number {}, counted from 0, is {:.10g}; wanted is {:.10g}", what, j,
                       got[j], wanted[j]));
}

TEST_CASE("scores 0, ln 2 and ln 5 are in the ratio 1 : 2 : 5") {
  check_numbers("(0, ln 2, ln 5)", softmax_of({0, std::log(2), std::log(5)}, {3}), {0.125, 0.25, 0.625});
}

TEST_CASE("every row by itself, along the last axis") {
  check_numbers("((0, 0), (ln 3, 0), (0, ln 4))", softmax_of({0, 0, std::log(3), 0, 0, std::log(4)}, {3, 2}),
                {0.5, 0.5, 0.75, 0.25, 0.2, 0.8});
}

TEST_CASE("adding a number to all scores changes nothing, also where exp would overflow") {
  for (const double shift : {1000.0, -1000.0})
    check_numbers(fmt::format("(0, ln 3) + {}", shift), softmax_of({shift, shift + std::log(3)}, {2}),
                  {0.25, 0.75});
}

TEST_CASE("a score of minus infinity gets nothing") {
  check_numbers("(-infinity, 0, 0)", softmax_of({-INFINITY, 0, 0}, {3}), {0, 0.5, 0.5});
}

TEST_CASE("one score is certain") { check_numbers("(-3)", softmax_of({-3}, {1}), {1}); }
