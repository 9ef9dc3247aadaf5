// The way back of an embedding, on the reference backend.
#include "docs/exercises/gradient.h"

using namespace chapbook;

static Tensor ids_of(const std::vector<int32_t>& ids) {
  return Tensor::from(ids, {static_cast<int64_t>(ids.size())}, backend("reference"));
}

static std::vector<double> added(const std::vector<double>& table, const std::vector<double>& rows,
                                 const std::vector<int32_t>& ids, int64_t columns) {
  const auto tensor = [&](const std::vector<double>& x) {
    return Tensor::from(x, {static_cast<int64_t>(x.size()) / columns, columns}, backend("reference"));
  };
  const Tensor sums = tensor(table);
  backend("reference").scatter_add_rows(tensor(rows).view(), ids_of(ids).view(), sums.view());
  return sums.to_vector<double>();
}

TEST_CASE("each row goes where its id says") {
  CHECK(added({0, 0, 0, 0, 0, 0}, {1, 2, 3, 4}, {2, 0}, 2) == std::vector<double>{3, 4, 0, 0, 1, 2});
}

TEST_CASE("an id that comes three times: its rows are added up") {
  CHECK(added({0, 0, 0, 0}, {1, 2, 10, 20, 100, 200}, {1, 1, 1}, 2) == std::vector<double>{0, 0, 111, 222});
}

TEST_CASE("the table keeps what it held") {
  CHECK(added({5, 6, 7, 8}, {1, 2}, {0}, 2) == std::vector<double>{6, 8, 7, 8});
}

TEST_CASE("the gradient of a table is the slope") {
  check_gradients(
      [](const std::vector<Variable>& x) {
        return gather_rows(x[0], ids_of({3, 0, 3, 3, 1}));
      },
      {{"the table", some_numbers({5, 3}, 1)}});
}
