// The cpu backend's product at its edges, against sums in double.
#include "docs/exercises/product.h"
#include "tensor/ops.h"

using namespace chapbook;

// Adds the product to what y holds, or puts it there; then what was there must not matter.
static void check_product(int64_t m, int64_t n, int64_t k, bool add = false) {
  check_product(m, n, k, [&](const std::vector<float>& a, const std::vector<float>& b) {
    Backend& cpu = backend("cpu");
    const Tensor y = Tensor::full({m, n}, 1000, DType::f32, cpu);
    cpu.matmul(Tensor::from(a, {m, k}, cpu).view(), Tensor::from(b, {k, n}, cpu).view(), y.view(),
               {.residual = add ? y.view() : View{}});
    return (add ? y - 1000 : y).to_vector<float>();
  });
}

TEST_CASE("whole tiles") { check_product(48, 64, 100); }
TEST_CASE("columns that no tile divides") { check_product(48, 77, 100); }
TEST_CASE("whole tiles, several stretches") { check_product(48, 64, 1300); }
TEST_CASE("columns that no tile divides, several stretches") { check_product(48, 77, 1300); }
TEST_CASE("y = y + a b, less the old y: columns that no tile divides") {
  check_product(48, 77, 100, true);
  check_product(48, 77, 1300, true);
}
