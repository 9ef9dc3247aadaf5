// Attention in small steps against what it must give, and its gradient, which comes from the ops' own rules.
#include "nn/attention.h"

#include "docs/exercises/gradient.h"

using namespace chapbook;

static void check_close(const std::string& what, const Tensor& got, const Tensor& wanted) {
  if (!(got.shape() == wanted.shape()))
    FAIL(fmt::format("{} has the shape {}; wanted is {}", what, got.shape().to_string(),
                     wanted.shape().to_string()));
  const std::vector<double> a = got.to_vector<double>(), b = wanted.to_vector<double>();
  for (size_t i = 0; i < b.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= 1e-12 * std::max(1.0, std::abs(b[i]))))
      FAIL(fmt::format("{}: number {}, counted from 0, of {} is {:.6g}; wanted is {:.6g}", what, i,
                       got.shape().to_string(), a[i], b[i]));
}

static void check_against_the_op(const std::string& what, const Shape& q_shape, const Shape& k_shape) {
  const Variable q(some_numbers(q_shape, 1)), k(some_numbers(k_shape, 2)), v(some_numbers(k_shape, 3));
  check_close(what, attention_in_steps(q, k, v).value(), attention(q, k, v).value());
}

TEST_CASE("equal keys: the mean of the values of the places that are seen") {
  Backend& reference = backend("reference");
  const Variable q(some_numbers({1, 1, 3, 1}, 1)),
      k(Tensor::from(std::vector<double>{1, 1, 1}, {1, 1, 3, 1}, reference)),
      v(Tensor::from(std::vector<double>{1, 3, 8}, {1, 1, 3, 1}, reference));
  check_close("values 1, 3, 8", attention_in_steps(q, k, v).value(),
              Tensor::from(std::vector<double>{1, 2, 4}, {1, 3, 1}, reference));
}

TEST_CASE("one head") { check_against_the_op("one head", {1, 1, 4, 3}, {1, 1, 4, 3}); }

TEST_CASE("two heads, whose results stand side by side in the row of a place") {
  check_against_the_op("two heads", {2, 2, 3, 4}, {2, 2, 3, 4});
}

TEST_CASE("more places than queries: the queries are the last") {
  check_against_the_op("two queries over five places", {1, 2, 2, 3}, {1, 2, 5, 3});
}

TEST_CASE("heads of queries that share a head of keys and values are neighbours") {
  check_against_the_op("four heads of queries, two of keys", {2, 4, 3, 2}, {2, 2, 3, 2});
}

TEST_CASE("the gradients are slopes") {
  check_gradients([](const std::vector<Variable>& x) { return attention_in_steps(x[0], x[1], x[2]); },
                  {{"q", some_numbers({1, 4, 3, 2}, 1)},
                   {"k", some_numbers({1, 2, 3, 2}, 2)},
                   {"v", some_numbers({1, 2, 3, 2}, 3)}});
}
