// Who asks is told of each addition to a parameter's gradient, and after the last one may take it away at
// once.
#include <doctest/doctest.h>

#include <map>

#include "autograd/ops.h"

using namespace chapbook;

static Variable parameter(float value) {
  return Variable::parameter(Tensor::full({3}, value, DType::f32, backend("cpu")));
}

TEST_CASE("each addition to a parameter's gradient is told, whichever way it comes") {
  const Variable a = parameter(2), b = parameter(3), c = parameter(5), x = parameter(1);
  std::map<const Node*, int> told;
  {
    const OnGradients listening([&](const Node& node) { ++told[&node]; });
    const auto block = [&](const Variable& y) { return y * b; };  // computed again on the way back
    backward(sum(recompute(block, a * a * x) + a * c));
  }
  CHECK(told[a.node().get()] == 3);  // twice as a factor of a * a
  CHECK(told[b.node().get()] == 1);
  CHECK(told[c.node().get()] == 1);
  backward(sum(a * b));  // nobody listens any more
  CHECK(told[a.node().get()] == 3);
}

TEST_CASE("a gradient may be taken as soon as its last addition is told, and nobody else holds it") {
  const Variable a = parameter(2), b = parameter(3), c = parameter(5);
  std::vector<float> taken;
  bool shared = true, others = true;
  const OnGradients listening([&](const Node& node) {
    if (&node != c.node().get()) return;
    const Tensor gradient = c.gradient();
    c.clear_gradient();
    shared = gradient.shared();
    taken = gradient.to_vector<float>();
    others = static_cast<bool>(a.gradient());  // further back, and so still to come
  });
  backward(sum((a * b) * c));
  CHECK(taken == std::vector<float>{6, 6, 6});
  CHECK_FALSE(shared);
  CHECK_FALSE(others);
  CHECK_FALSE(static_cast<bool>(c.gradient()));
  CHECK(a.gradient().to_vector<float>() == std::vector<float>{15, 15, 15});
}
