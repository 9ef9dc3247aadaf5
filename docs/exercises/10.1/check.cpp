// Attention on the reference backend: the chapter's example, then what must hold whatever the numbers are.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tensor/ops.h"
#include "tensor/random.h"

using namespace chapbook;

static Tensor drawn(const Shape& shape, uint64_t seed) {
  Random random{seed};
  return normal(shape, random, DType::f64, backend("reference"));
}

static void check_close(const std::string& what, const Tensor& got, const Tensor& wanted) {
  const std::vector<double> a = got.to_vector<double>(), b = wanted.to_vector<double>();
  for (size_t i = 0; i < b.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= 1e-12 * std::max(1.0, std::abs(b[i]))))
      FAIL(fmt::format("{}: number {}, counted from 0, of {} is {:.10g}; wanted is {:.10g}", what, i,
                       got.shape().to_string(), a[i], b[i]));
}

static Tensor numbers(const std::vector<double>& x, const Shape& shape) {
  return Tensor::from(x, shape, backend("reference"));
}

static const std::vector<double> queries = {1, 1, 0, 0, 2, -1, 1, 2}, keys = {0, 0, 1, 0, 0, 1, 1, 1},
                                 values = {1, 1, 7, 0, 8, 5, 2, 6};

TEST_CASE("a query of 0 finds the plain mean of the places it sees") {
  const Tensor q = numbers({0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, 4, 2});
  check_close("y", attention(q, numbers(keys, q.shape()), numbers(values, q.shape()), 1).y,
              numbers({1, 1, 4, 0.5, 16.0 / 3, 2, 4.5, 3}, q.shape()));
}

TEST_CASE("the chapter's example") {
  const Shape shape = {1, 1, 4, 2};
  const double root = std::sqrt(0.5);
  const Attended got = attention(numbers(queries, shape), numbers(keys, shape), numbers(values, shape), root);
  double sum = 0, first = 0, second = 0;
  for (int s = 0; s < 4; ++s) {  // place 4: its scores are 0, 1, 2 and 3 times the scale
    const double e = std::exp(s * root);
    sum += e, first += e * values[2 * s], second += e * values[2 * s + 1];
  }
  check_close("y of place 4", got.y.slice(2, 3, 4), numbers({first / sum, second / sum}, {1, 1, 1, 2}));
  check_close("log_sum of place 4", got.log_sum.slice(2, 3, 4), numbers({std::log(sum)}, {1, 1, 1}));
  check_close("y of place 1", got.y.slice(2, 0, 1), numbers({1, 1}, {1, 1, 1, 2}));
}

TEST_CASE("the scale is the one that is given") {
  const Tensor q = drawn({1, 1, 4, 3}, 1), k = drawn(q.shape(), 2), v = drawn(q.shape(), 3);
  check_close("y with queries twice as long and half the scale", attention(q * 2, k, v, 0.35).y,
              attention(q, k, v, 0.7).y);
}

TEST_CASE("no place sees a later one") {
  const Tensor q = drawn({2, 2, 6, 3}, 1), k = drawn(q.shape(), 2), v = drawn(q.shape(), 3);
  const Attended before = attention(q, k, v, 0.5);
  const Tensor y = before.y.slice(2, 0, 4).contiguous_copy();
  k.backend().fill(k.view().slice(2, 4, 6), 9);
  v.backend().fill(v.view().slice(2, 4, 6), 9);
  check_close("y of places 0 to 3, with other keys and values at places 4 and 5",
              attention(q, k, v, 0.5).y.slice(2, 0, 4), y);
}

TEST_CASE("the queries are the last of the places") {
  const Tensor q = drawn({1, 2, 7, 3}, 1), k = drawn(q.shape(), 2), v = drawn(q.shape(), 3);
  const Attended all = attention(q, k, v, 0.7), last = attention(q.slice(2, 5, 7), k, v, 0.7);
  check_close("the last two of seven queries, asked alone", last.y, all.y.slice(2, 5, 7));
  check_close("their log_sum", last.log_sum, all.log_sum.slice(2, 5, 7));
}

TEST_CASE("neighbouring heads of queries share a head of keys and values") {
  const Tensor q = drawn({2, 4, 5, 3}, 1), k = drawn({2, 2, 5, 3}, 2), v = drawn(k.shape(), 3);
  const Attended got = attention(q, k, v, 0.7);
  for (int64_t head = 0; head < 4; ++head)
    check_close(fmt::format("head {} of 4 with its head of keys and values, head {} of 2", head, head / 2),
                got.y.slice(1, head, head + 1),
                attention(q.slice(1, head, head + 1), k.slice(1, head / 2, head / 2 + 1),
                          v.slice(1, head / 2, head / 2 + 1), 0.7)
                    .y);
}

TEST_CASE("scores may be large, and log_sum is then near the largest") {
  const Tensor q = numbers({1000, 0}, {1, 1, 2, 1}), k = numbers({-3, -2}, q.shape()),
               v = numbers({5, 8}, q.shape());
  const Attended got = attention(q, k, v, 1);
  check_close("y for one score of -3,000, and for two of 0", got.y, numbers({5, 6.5}, q.shape()));
  check_close("log_sum", got.log_sum, numbers({-3000, std::log(2)}, {1, 1, 2}));
}
