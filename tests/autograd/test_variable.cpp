// The walk backward, by hand: what is recorded, in what order gradients meet, when memory goes, and what is
// refused.
#include "autograd/variable.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tests/support/show.h"

using namespace chapbook;

static Variable parameter(std::vector<double> numbers) {
  const auto count = static_cast<int64_t>(numbers.size());
  return Variable::parameter(Tensor::from(numbers, {count}));
}
static std::vector<double> numbers(const Tensor& x) { return x.to_vector<double>(); }
using List = std::vector<double>;

TEST_CASE("backward: a value used at several depths") {
  // y = x^2, z = y^2 x + y + x:  dz/dx = 5 x^4 + 2 x + 1. Were y walked before all of its users, its gradient
  // would be short.
  const Variable x = parameter({1, 2, -3});
  const Variable y = x * x;
  const Variable z = y * y * x + y + x;
  backward(sum(z));
  CHECK(numbers(x.gradient()) == List{8, 85, 400});
}

TEST_CASE("backward: the order in which users were made does not matter") {
  const Variable x = parameter({3});
  const Variable y = x * 2.0;
  const Variable deep = ((y + 1.0) * 3.0 + 1.0) * 5.0;  // 15 y + ...
  const Variable flat = y * 7.0;
  backward(sum(flat + deep));
  CHECK(numbers(x.gradient()) == List{44});
  x.clear_gradient();
  const Variable w = x * 2.0, first = w * 7.0, second = ((w + 1.0) * 3.0 + 1.0) * 5.0;
  backward(sum(second + first));
  CHECK(numbers(x.gradient()) == List{44});
}

TEST_CASE("backward: one value on both sides of an op") {
  const Variable x = parameter({3, -2});
  backward(sum(x * x));
  CHECK(numbers(x.gradient()) == List{6, -4});
  Variable y = parameter({3, -2});
  backward(sum(y - y));
  CHECK(numbers(y.gradient()) == List{0, 0});
  Variable z = parameter({1, 2});
  backward(sum(concatenate({z, z * 3.0, z}, 0)));
  CHECK(numbers(z.gradient()) == List{5, 5});
}

TEST_CASE("backward: several of one graph, and parameters that are not reached") {
  Variable a = parameter({1}), b = parameter({2}), unused = parameter({3});
  backward(a * b);
  CHECK(numbers(a.gradient()) == List{2});
  CHECK(numbers(b.gradient()) == List{1});
  CHECK(!unused.gradient());
  // Gradients add up until they are cleared.
  backward(a * b);
  backward(a * b * 3.0);
  CHECK(numbers(a.gradient()) == List{10});
  a.clear_gradient();
  CHECK(!a.gradient());
  backward(a * b);
  CHECK(numbers(a.gradient()) == List{2});
  CHECK(numbers(b.gradient()) == List{6});
}

TEST_CASE("backward: a parameter is a value like any other") {
  Variable x = parameter({5});
  backward(x);
  CHECK(numbers(x.gradient()) == List{1});
  backward(x);
  CHECK(numbers(x.gradient()) == List{2});
}

TEST_CASE("backward: gradients that are kept are not written to by later ones") {
  // `add` hands the same gradient to both of its inputs.
  Variable a = parameter({1, 1}), b = parameter({2, 2});
  backward(a + b, Tensor::from(List{1, 2}, {2}));
  const Tensor kept = b.gradient();
  backward(a * 5.0, Tensor::from(List{1, 1}, {2}));
  CHECK(numbers(a.gradient()) == List{6, 7});
  CHECK(numbers(b.gradient()) == List{1, 2});
  backward(b * 1.0, Tensor::from(List{1, 1}, {2}));
  CHECK(numbers(kept) == List{1, 2});
}

TEST_CASE("backward: what is refused") {
  const Variable x = parameter({1, 2});
  const Variable y = sum(x * x);
  backward(y);
  CHECK_THROWS_WITH(backward(y),
                    "backward: 'sum' was walked before and its rules are gone; compute the value again");
  // A new value on top of a walked one.
  CHECK_THROWS_WITH(backward(y * 2.0), doctest::Contains("'sum' was walked before"));
  CHECK_THROWS_WITH(backward(x * x), "backward: starts from one number, not from shape (2,)");
  CHECK_THROWS_WITH(backward(Variable(Tensor::full({}, 1))), "backward: nothing here wants a gradient");
  CHECK_THROWS_WITH(backward(x * x, Tensor::full({3}, 1, DType::f64)),
                    "backward: a gradient of shape (3,) for a value of shape (2,)");
  const Variable wrong =
      record("wrong", x.value(), {{x, [](const Tensor& dy) { return dy.slice(0, 0, 1); }}});
  CHECK_THROWS_WITH(backward(sum(wrong)), "backward: gradient (1,) for the 'parameter' of shape (2,)");
  CHECK_THROWS_WITH((x * x).gradient(), "gradient: only a parameter keeps its gradient");
  CHECK_THROWS_WITH(y.gradient(), "gradient: only a parameter keeps its gradient");
  CHECK_THROWS_WITH(Variable(x.value()).gradient(), "gradient: only a parameter keeps its gradient");
  Random random;
  CHECK_THROWS_WITH(dropout(x, 1, random), "dropout: probability 1 is not in [0, 1)");
  CHECK_THROWS_WITH(attention(x, 2), doctest::Contains("attention: qkv (2,) does not divide"));
}

TEST_CASE("record: constants record nothing, and keep nothing") {
  const Variable constant = Tensor::full({3}, 2, DType::f64), x = parameter({1, 2, 3});
  CHECK(!(constant * constant).wants_gradient());
  CHECK(!softmax(constant).wants_gradient());
  CHECK(!layer_norm(constant, constant, {}, 1e-5).wants_gradient());
  const Variable y = x * constant;
  CHECK(y.wants_gradient());
  CHECK(y.node()->edges.size() == 1);  // of x; the rule of the constant, and the x it would keep, is gone
  backward(sum(y));
  CHECK(numbers(x.gradient()) == List{2, 2, 2});
  // A mixed op hands gradients only to what wants one.
  const Variable weight = parameter({1, 1, 1});
  const Variable z = layer_norm(Tensor::from(List{1, 2, 4}, {1, 3}), weight, {}, 1e-5);
  backward(sum(z));
  CHECK(weight.gradient().count() == 3);
}

TEST_CASE("NoGrad: nothing is recorded while one lives, and they nest") {
  const Variable x = parameter({1});
  {
    NoGrad outer;
    CHECK(!(x * x).wants_gradient());
    {
      NoGrad inner;
      CHECK(!(x * x).wants_gradient());
    }
    CHECK(!(x * x).wants_gradient());
  }
  CHECK((x * x).wants_gradient());
}

TEST_CASE("memory: a constant chain keeps nothing, backward frees as it goes, and after it nothing is left") {
  BlockCache& blocks = default_backend().blocks();
  const size_t before = blocks.live_bytes(), block = BlockCache::rounded(4 * 10000);
  const int depth = 50;
  {
    const Variable x = Variable::parameter(Tensor::full({10000}, 1));
    size_t lowest = SIZE_MAX;
    {
      Variable y = x;
      for (int i = 0; i < depth; ++i) {
        // A look at the memory from inside the walk: where it is when this step's rule runs.
        y = record("look", y.value(), {{y, [&, i](const Tensor& dy) {
                                          // What steps 0 to i - 1 keep, x, this step's value and a few
                                          // gradients.
                                          const size_t live = blocks.live_bytes() - before;
                                          CHECK(live <= (i + 6) * block);
                                          lowest = std::min(lowest, live);
                                          return dy;
                                        }}});
        y = exp(y * 0.5);
      }
      const Variable loss = sum(y);
      y = {};
      CHECK(blocks.live_bytes() - before >= depth * block);  // exp keeps its value for its rule
      backward(loss);
      CHECK(lowest <= 6 * block);
      // The graph is gone though `loss` is alive: what is left is x, its gradient and the loss.
      CHECK(blocks.live_bytes() - before <= 2 * block + 1024);
    }
    {
      NoGrad no_grad;
      blocks.reset_peak();
      const size_t start = blocks.live_bytes();
      Variable y = x;
      for (int i = 0; i < depth; ++i) y = exp(y * 0.5);
      CHECK(blocks.peak_bytes() - start <= 4 * block);
    }
  }
  CHECK(blocks.live_bytes() == before);
}

TEST_CASE("memory: a graph that is dropped without a walk leaves nothing") {
  BlockCache& blocks = default_backend().blocks();
  const size_t before = blocks.live_bytes();
  {
    const Variable x = parameter({1, 2, 3});
    const Variable y = exp(x) * log(x) + x * x;
    CHECK(blocks.live_bytes() > before);
  }
  CHECK(blocks.live_bytes() == before);
}

TEST_CASE("a chain of a million ops is built, walked and freed without a deep stack") {
  const int million = 1000000;
  const auto chain = [](Variable y) {
    for (int i = 0; i < million; ++i)
      y = record("step", y.value(), {{y, [](const Tensor& dy) { return dy; }}});
    return y;
  };
  const Variable x = parameter({2});
  { const Variable dropped = chain(x); }
  backward(chain(x));
  CHECK(numbers(x.gradient()) == List{1});
}

TEST_CASE("a wide and deep graph is freed in a loop too") {
  // Every step uses the one before twice, through two nodes.
  const Variable x = parameter({1});
  Variable y = x;
  for (int i = 0; i < 100000; ++i) {
    const auto step = [](const Variable& v) {
      return record("step", v.value(), {{v, [](const Tensor& dy) { return dy; }}});
    };
    const Variable a = step(y), b = step(y);
    y = record("join", a.value(),
               {{a, [](const Tensor& dy) { return dy; }}, {b, [](const Tensor& dy) { return dy * 0.0; }}});
  }
  y = {};
  CHECK(x.node().use_count() == 1);
}

TEST_CASE("gradients are added up in place, unless somebody else sees them") {
  BlockCache& blocks = default_backend().blocks();
  const int64_t n = 10000;
  const size_t block = BlockCache::rounded(8 * n);
  const Variable x = Variable::parameter(Tensor::full({n}, 0.1, DType::f64));
  const auto walk = [&](double slope) { backward(sum(x * slope)); };
  walk(1.1);
  const void* first = x.gradient().view().data;
  const size_t before = blocks.live_bytes();
  blocks.reset_peak();
  walk(2.2);
  CHECK(x.gradient().view().data == first);
  CHECK(numbers(x.gradient()) == List(n, 1.1 + 2.2));
  CHECK(blocks.live_bytes() == before);
  CHECK(blocks.peak_bytes() - before <= 2 * block + 1024);  // x * slope, and the gradient that arrives
  // A handle kept by somebody is a snapshot.
  const Tensor kept = x.gradient();
  walk(3.3);
  CHECK(numbers(kept) == List(n, 1.1 + 2.2));
  CHECK(numbers(x.gradient()) == List(n, 1.1 + 2.2 + 3.3));
  // What backward starts from belongs to the caller, even as the first of two gradients.
  const Variable y = Variable::parameter(Tensor::full({2}, 1, DType::f64));
  const Tensor dy = Tensor::from(List{1, 2}, {2});
  backward(y + y * 2.0, dy);
  CHECK(numbers(dy) == List{1, 2});
  CHECK(numbers(y.gradient()) == List{3, 6});
  // A stretched gradient is one number seen many times: it cannot be added to.
  const Variable z = Variable::parameter(Tensor::full({3}, 1, DType::f64));
  backward(sum(z));
  backward(sum(z * Tensor::from(List{1, 2, 3}, {3})));
  CHECK(numbers(z.gradient()) == List{2, 3, 4});
}

TEST_CASE("recompute: the same numbers and gradients as without, for less memory") {
  const Tensor start = Tensor::from(List{0.5, -1, 2, 0.1}, {2, 2});
  const auto gradients = [&](bool again, bool of_x) {
    const Variable w = Variable::parameter(Tensor::from(List{1, 2, -1, 0.5}, {2, 2}));
    const Variable b = Variable::parameter(Tensor::from(List{0.3, 0.7}, {2}));
    const Variable x = of_x ? Variable::parameter(start) : Variable(start);
    const auto f = [&](const Variable& v) { return tanh(matmul(v, w) + b) * v; };
    Variable y = again ? recompute(f, x) : f(x);
    y = again ? recompute(f, y) : f(y);
    backward(sum(y * y));
    std::vector<List> all = {numbers(y.value()), numbers(w.gradient()), numbers(b.gradient())};
    if (of_x) all.push_back(numbers(x.gradient()));
    return all;
  };
  for (bool of_x : {false, true}) {
    const auto plain = gradients(false, of_x), again = gradients(true, of_x);
    REQUIRE(plain.size() == again.size());
    for (size_t i = 0; i < plain.size(); ++i)
      for (size_t j = 0; j < plain[i].size(); ++j)
        CHECK(again[i][j] == doctest::Approx(plain[i][j]).epsilon(1e-14));
  }
  // Only x and the value stay while the walk has not come.
  BlockCache& blocks = default_backend().blocks();
  const Variable x = Variable::parameter(Tensor::full({10000}, 1));
  const size_t before = blocks.live_bytes(), block = BlockCache::rounded(4 * 10000);
  blocks.reset_peak();
  const Variable y = recompute(
      [](Variable v) {
        for (int i = 0; i < 20; ++i) v = exp(v * 0.1);
        return v;
      },
      x);
  CHECK(blocks.live_bytes() - before <= block + 1024);
  CHECK(blocks.peak_bytes() - before <= 4 * block);  // nor does the way forward keep more
  // f that does not use x at all.
  const Variable w = parameter({2});
  backward(recompute([&](const Variable&) { return w * 3.0; }, parameter({1})));
  CHECK(numbers(w.gradient()) == List{3});
}

TEST_CASE("rules where numbers are equal") {
  // Of two equals the first operand takes the gradient; the largest of several share it.
  Variable a = parameter({1, 2}), b = parameter({1, 3});
  backward(sum(maximum(a, b)));
  CHECK(numbers(a.gradient()) == List{1, 0});
  CHECK(numbers(b.gradient()) == List{0, 1});
  a.clear_gradient();
  b.clear_gradient();
  backward(sum(minimum(a, b)));
  CHECK(numbers(a.gradient()) == List{1, 1});
  CHECK(numbers(b.gradient()) == List{0, 0});
  Variable x = parameter({4, 1, 4, 0});
  backward(max(x));
  CHECK(numbers(x.gradient()) == List{0.5, 0, 0.5, 0});
  // At the corner: relu has slope 0, abs slope 1.
  Variable zero = parameter({0});
  backward(relu(zero));
  CHECK(numbers(zero.gradient()) == List{0});
  zero.clear_gradient();
  backward(abs(zero));
  CHECK(numbers(zero.gradient()) == List{1});
}

TEST_CASE("a number beside integers gives what it gives beside a Tensor") {
  const Variable x = Tensor::from(std::vector<int32_t>{7, -7, 1}, {3}),
                 small = Tensor::from(std::vector<uint8_t>{3, 9}, {2});
  CHECK(numbers((x / 2).value()) == List{3, -3, 0});
  CHECK(numbers((x * 2).value()) == List{14, -14, 2});
  CHECK(numbers((small - 5).value()) == List{0, 4});
  CHECK(numbers((small + 250).value()) == List{253, 255});
}

TEST_CASE("casts: the gradient comes back in the dtype of the parameter") {
  const Variable x = Variable::parameter(Tensor::from(std::vector<float>{1, 2}, {2}));
  const Variable half = to(x, DType::bf16);
  CHECK(half.value().dtype() == DType::bf16);
  backward(sum(half * half));
  CHECK(x.gradient().dtype() == DType::f32);
  CHECK(numbers(x.gradient()) == List{2, 4});
}

TEST_CASE("dropout: keeps the mean, drops the share it is told, passes gradients where it passes numbers") {
  Random random{3, 0};
  const int64_t n = 100000;
  const Variable x = Variable::parameter(Tensor::full({n}, 1));
  const Variable y = dropout(x, 0.2, random);
  backward(sum(y));
  const auto kept = numbers(y.value()), slope = numbers(x.gradient());
  CHECK(kept == slope);
  int64_t dropped = 0;
  for (double number : kept) {
    if (number != 0 && !(std::fabs(number - 1.25) < 1e-6)) FAIL_CHECK("a number became ", number);
    dropped += number == 0;
  }
  CHECK(std::fabs(static_cast<double>(dropped) / n - 0.2) <
        5 * std::sqrt(0.2 * 0.8 / n));                      // 5 standard deviations
  CHECK(numbers(dropout(x, 0.2, random).value()) != kept);  // the next draw is another
  CHECK(numbers(dropout(x, 0, random).value()) == numbers(x.value()));
}

TEST_CASE("a parameter's gradient is set, of its shape, and backward adds to it") {
  const Variable x = parameter({3, -2});
  x.set_gradient(Tensor::from<double>({10, 20}, {2}));
  backward(sum(x * 5.0));
  CHECK(numbers(x.gradient()) == List{15, 25});
  CHECK_THROWS_AS(x.set_gradient(Tensor::zeros({3}, DType::f64)), Error);
  CHECK_THROWS_AS(x.set_gradient(Tensor::zeros({2})), Error);
  CHECK(numbers(x.gradient()) == List{15, 25});
  x.clear_gradient();
  CHECK(!x.gradient());
  Variable(Tensor::zeros({2})).clear_gradient();  // a constant has none to clear, and takes none
  for (const Variable& other : {Variable(Tensor::zeros({2})), x * 2.0})
    CHECK_THROWS_WITH_AS(other.set_gradient(Tensor::zeros({2})), doctest::Contains("only a parameter"),
                         Error);
}
