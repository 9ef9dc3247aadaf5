// Attention, backward, on the reference backend: slopes first, then what must hold whatever the numbers are.
#include "docs/exercises/gradient.h"

using namespace chapbook;

static void check_shapes(const Shape& q, const Shape& k) {
  check_gradients([](const std::vector<Variable>& x) { return attention(x[0], x[1], x[2]); },
                  {{"q", some_numbers(q, 1)}, {"k", some_numbers(k, 2)}, {"v", some_numbers(k, 3)}});
}

TEST_CASE("dq, dk and dv are slopes: one query, one head") { check_shapes({1, 1, 1, 2}, {1, 1, 3, 2}); }

TEST_CASE("as many queries as places") { check_shapes({1, 1, 4, 3}, {1, 1, 4, 3}); }

TEST_CASE("several heads, several sequences, and places before the first query") {
  check_shapes({2, 2, 3, 2}, {2, 2, 5, 2});
}

TEST_CASE("two heads of queries for each head of keys and values") {
  check_shapes({1, 4, 3, 2}, {1, 2, 3, 2});
}

struct Gradients {
  Tensor dk, dv, dy;
};

static Gradients gradients() {
  const Shape shape = {1, 1, 6, 3};
  const Variable q(some_numbers(shape, 1)), k = Variable::parameter(some_numbers(shape, 2)),
                                            v = Variable::parameter(some_numbers(shape, 3));
  const Variable y = attention(q, k, v);
  const Tensor dy = some_numbers(y.shape(), 4);
  backward(y, dy);
  return {k.gradient(), v.gradient(), dy};
}

TEST_CASE("moving all keys by the same moves all scores by the same, so the rows of dk add up to 0") {
  for (const double total : sum(gradients().dk, {2}).to_vector<double>())
    if (!(std::abs(total) <= 1e-12)) FAIL(fmt::format("a column of dk adds up to {:.3g}", total));
}

TEST_CASE("the weights of a query add up to 1, so the rows of dv add up to what those of dy do") {
  const Gradients all = gradients();
  const std::vector<double> got = sum(all.dv, {2}).to_vector<double>(),
                            wanted = sum(all.dy, {1}).to_vector<double>();
  for (size_t d = 0; d < wanted.size(); ++d)
    if (!(std::abs(got[d] - wanted[d]) <= 1e-12))
      FAIL(fmt::format("column {} of dv adds up to {:.6g}, that of dy to {:.6g}", d, got[d], wanted[d]));
}
