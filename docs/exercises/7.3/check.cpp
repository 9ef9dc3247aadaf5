// What stretching forward is on the way back.
#include "docs/exercises/gradient.h"

using namespace chapbook;

static Tensor counted(const Shape& shape) {  // 0, 1, 2, ...
  return Tensor::arange(shape.count(), DType::f64, backend("reference")).reshape(shape);
}
using List = std::vector<double>;

TEST_CASE("sum_to leaves what has the shape already") {
  CHECK(sum_to(counted({2, 3}), {2, 3}).to_vector<double>() == List{0, 1, 2, 3, 4, 5});
}

TEST_CASE("sum_to adds up along axes of size 1") {
  const Tensor columns = sum_to(counted({2, 3}), {1, 3}), rows = sum_to(counted({2, 3}), {2, 1});
  CHECK(columns.shape() == Shape{1, 3});
  CHECK(columns.to_vector<double>() == List{3, 5, 7});
  CHECK(rows.shape() == Shape{2, 1});
  CHECK(rows.to_vector<double>() == List{3, 12});
}

TEST_CASE("sum_to adds up along axes that are missing") {
  const Tensor last = sum_to(counted({2, 3}), {3});
  CHECK(last.shape() == Shape{3});
  CHECK(last.to_vector<double>() == List{3, 5, 7});
  CHECK(sum_to(counted({2, 3}), {}).item() == 15);
  CHECK(sum_to(counted({2, 3, 2}), {3, 1}).to_vector<double>() == List{14, 22, 30});
}

TEST_CASE("sum_to takes an axis of size 1 away without adding") {
  const Tensor row = sum_to(counted({1, 3}), {3});
  CHECK(row.shape() == Shape{3});
  CHECK(row.to_vector<double>() == List{0, 1, 2});
}

TEST_CASE("broadcasting has it as its gradient: slopes") {
  for (const Shape& shape : {Shape{3, 4}, Shape{4}, Shape{3, 1}, Shape{1, 1}, Shape{}})
    check_gradients(
        [](const std::vector<Variable>& x) {
          return broadcast_to(x[0], {2, 3, 4});
        },
        {{"x", some_numbers(shape, 1)}});
}

TEST_CASE("nothing is lost: the sum stays what it was") {
  const Tensor x = some_numbers({2, 3, 4}, 1);
  const double all = sum(x).item();
  for (const Shape& shape : {Shape{3, 4}, Shape{4}, Shape{3, 1}, Shape{}})
    CHECK(std::abs(sum(sum_to(x, shape)).item() - all) <= 1e-14 * all);
}
