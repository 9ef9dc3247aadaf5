// Rung 5, whose kernel is the reader's, against sums in double.
#include "bench/ladder/matmul.h"
#include "docs/exercises/product.h"

using namespace chapbook;

static void check_product(int64_t m, int64_t n, int64_t k) {
  check_product(m, n, k, [&](const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<float> y(static_cast<size_t>(m * n), NAN);
    ladder::matmul_register_tile(m, n, k, a.data(), b.data(), y.data());
    return y;
  });
}

TEST_CASE("one product for each number of a tile") { check_product(4, 32, 1); }
TEST_CASE("a whole tile") { check_product(4, 32, 9); }
TEST_CASE("several tiles, one after the other") { check_product(12, 96, 20); }
TEST_CASE("sizes that no tile divides") { check_product(7, 45, 33); }
TEST_CASE("more than one block of k") { check_product(5, 33, 800); }
