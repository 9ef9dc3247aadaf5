// Lists that come one after another, and the order in which they were added up.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "optim/tree_sum.h"

using namespace chapbook;

static float number(int leaf, int i) {
  return std::sin(static_cast<float>(5 * leaf + i)) * std::pow(10.0f, static_cast<float>((leaf * 3 + i) % 7));
}

static TreeSum::List list(int leaf) {
  TreeSum::List tensors;
  for (int i = 0; i < 3; ++i)
    tensors.push_back(Tensor::full({5}, number(leaf, i), DType::f32, backend("cpu")));
  return tensors;
}

static float tree(int first, int count, int i) {
  return count == 1 ? number(first, i) : tree(first, count / 2, i) + tree(first + count / 2, count / 2, i);
}

static void check_leaves(int leaves) {
  TreeSum sum;
  for (int leaf = 0; leaf + 1 < leaves; ++leaf) sum.add(list(leaf));
  TreeSum::List last = list(leaves - 1);
  for (int i = 0; i < 3; ++i) {
    float got = 0;
    try {
      got =
          sum.add_last(static_cast<size_t>(i), std::move(last[static_cast<size_t>(i)])).to_vector<float>()[4];
    } catch (const Error& error) {
      FAIL(fmt::format("{} lists: {}; are they counted?", leaves, error.what()));
    }
    const float wanted = tree(0, leaves, i);
    if (got != wanted)
      FAIL(fmt::format(
          "{} lists: tensor {} adds up to {:.9g}; the tree's sum is {:.9g}{}", leaves, i, got, wanted,
          std::abs(got - wanted) <= 1e-4 * std::abs(wanted) ? ", so they were added in another order"
                                                            : ", so some are missing or counted twice"));
  }
}

TEST_CASE("one list is its own sum") { check_leaves(1); }
TEST_CASE("two lists") { check_leaves(2); }
TEST_CASE("four lists: the sum of two sums") { check_leaves(4); }
TEST_CASE("eight and sixteen") {
  check_leaves(8);
  check_leaves(16);
}
