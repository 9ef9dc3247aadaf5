// Largest, smallest and sum on the reference backend, with and without a NaN.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"

using namespace chapbook;

static Tensor row(const std::vector<double>& x) {
  return Tensor::from(x, {static_cast<int64_t>(x.size())}, backend("reference"));
}

static void check_number(const std::string& what, double got, double wanted) {
  if (!(got == wanted || (std::isnan(got) && std::isnan(wanted))))
    FAIL(fmt::format("{} is {}; wanted is {}", what, got, wanted));
}

TEST_CASE("numbers only") {
  check_number("the largest of (2, 7, -3)", max(row({2, 7, -3})).item(), 7);
  check_number("the smallest of (2, 7, -3)", min(row({2, 7, -3})).item(), -3);
  check_number("the sum of (2, 7, -3)", sum(row({2, 7, -3})).item(), 6);
  check_number("the largest of (-infinity, -2)", max(row({-INFINITY, -2})).item(), -2);
  check_number("the smallest of (infinity, 2)", min(row({INFINITY, 2})).item(), 2);
}

TEST_CASE("a NaN at the end") {
  check_number("the largest of (1, nan)", max(row({1, std::nan("")})).item(), std::nan(""));
  check_number("the smallest of (1, nan)", min(row({1, std::nan("")})).item(), std::nan(""));
}

TEST_CASE("a NaN that numbers follow") {
  check_number("the largest of (nan, 1)", max(row({std::nan(""), 1})).item(), std::nan(""));
  check_number("the largest of (1, nan, 3, 2)", max(row({1, std::nan(""), 3, 2})).item(), std::nan(""));
  check_number("the smallest of (nan, 1)", min(row({std::nan(""), 1})).item(), std::nan(""));
  check_number("the smallest of (3, nan, 1, 2)", min(row({3, std::nan(""), 1, 2})).item(), std::nan(""));
}

TEST_CASE("one row's NaN is not another's") {
  const std::vector<double> got =
      max(Tensor::from(std::vector<double>{std::nan(""), 1, 2, 3}, {2, 2}, backend("reference")), {1})
          .to_vector<double>();
  check_number("the largest of the first row (nan, 1)", got[0], std::nan(""));
  check_number("the largest of the second row (2, 3)", got[1], 3);
}
