// A chain of products: right, and with as few operations as there can be, as the list of kernels counts them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "docs/demo/chain.h"
#include "tensor/host_backend.h"
#include "tensor/kernel_call.h"
#include "tensor/random.h"
#include "tensor/reference/reference_backend.h"

using namespace chapbook;

namespace {

// Counts what it is asked for, and lets the reference do it.
struct Counting final : HostBackend {
  ~Counting() override { blocks().trim(); }
  std::string_view name() const override { return "counting"; }
  void without_kernel(KernelCall& call) override {
    flops += call.cost().flops;
    call.on(reference_backend());
  }
  double flops = 0;
};

// The least there can be for matrices of these sizes, by trying every order: matrix i is (sizes[i], sizes[i +
// 1]).
double least(const std::vector<int64_t>& sizes) {
  if (sizes.size() <= 2) return 0;
  double best = INFINITY;
  for (size_t middle = 1; middle + 1 < sizes.size(); ++middle) {
    std::vector<int64_t> rest = sizes;  // without the size at which two neighbours meet: they are one now
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(middle));
    best = std::min(
        best, 2.0 * static_cast<double>(sizes[middle - 1] * sizes[middle] * sizes[middle + 1]) + least(rest));
  }
  return best;
}

void check_chain(const std::vector<int64_t>& sizes) {
  Counting counting;
  Random random{1};
  std::string what = "chain of";
  std::vector<Tensor> matrices;
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    matrices.push_back(
        normal({sizes[i], sizes[i + 1]}, random, DType::f64, backend("reference")).to(counting));
    what += fmt::format(" ({}, {})", sizes[i], sizes[i + 1]);
  }
  Tensor wanted = matrices[0].to(backend("reference"));
  for (size_t i = 1; i < matrices.size(); ++i) wanted = matmul(wanted, matrices[i].to(backend("reference")));

  counting.flops = 0;
  const Tensor got = chain(matrices);
  const double flops = counting.flops;
  if (!(got.shape() == wanted.shape()))
    FAIL(fmt::format("{}: the result is {}; wanted is {}", what, got.shape().to_string(),
                     wanted.shape().to_string()));
  // Another order rounds otherwise: f64, sums of a hundred numbers.
  const std::vector<double> a = got.to_vector<double>(), b = wanted.to_vector<double>();
  double apart = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) apart += std::abs(a[i] - b[i]), size += std::abs(b[i]);
  if (!(apart <= 1e-12 * size))
    FAIL(fmt::format("{}: the numbers are not the product's, by {:.2g} of their size", what, apart / size));
  if (!(flops <= least(sizes)))
    FAIL(fmt::format("{}: {:.0f} FLOP; it can be done with {:.0f}", what, flops, least(sizes)));
}

}  // namespace

TEST_CASE("one matrix is its own product, and two have one order") {
  check_chain({3, 4});
  check_chain({3, 4, 5});
}
TEST_CASE("a thin matrix between two thick ones and a column: from the right") {
  check_chain({90, 4, 80, 1});
}
TEST_CASE("a row before them: from the left") { check_chain({1, 80, 4, 90}); }
TEST_CASE("neither end first: the thin place is in the middle") { check_chain({40, 30, 2, 30, 40}); }
TEST_CASE("the cheapest pair first is not the cheapest") {
  check_chain({3, 5, 6, 7, 2});
  check_chain({10, 11, 25, 6, 50, 7});
}
TEST_CASE("many shapes") {
  Random random{2};
  for (int i = 0; i < 30; ++i) {
    std::vector<int64_t> sizes;
    for (int j = 0; j < 7; ++j) sizes.push_back(1 + static_cast<int64_t>(random.below(12)));
    check_chain(sizes);
  }
}
