// AdamW's update on the reference backend: what each of its parts does, one at a time.
#include <doctest/doctest.h>

#include <cmath>

#include "tensor/ops.h"
#include "tests/support/show.h"

using namespace chapbook;

namespace {

// One number, and all that its update reads and writes.
struct One {
  Tensor weight, m, v;
  double decay;

  explicit One(double w, double decay = 0) : weight(number(w)), m(number(0)), v(number(0)), decay(decay) {}
  static Tensor number(double x) { return Tensor::full({1}, x, DType::f64, backend("reference")); }

  void update(int64_t step, double gradient, double rate = 0.1, double epsilon = 0, double scale = 1) {
    const Tensor g = number(gradient), s = Tensor::full({}, scale, DType::f64, backend("reference"));
    const AdamWStep how{rate, 0.8, 0.9, epsilon, step, s.view()};
    const AdamWPart part{weight.view(), g.view(), m.view(), v.view(), decay};
    backend("reference").adamw(how, {&part, 1});
  }
};

void check_number(const std::string& what, const Tensor& got, double wanted) {
  if (!(std::abs(got.item() - wanted) <= 1e-12 * std::max(1.0, std::abs(wanted))))
    FAIL(fmt::format("{} is {:.10g}; wanted is {:.10g}", what, got.item(), wanted));
}

}  // namespace

TEST_CASE(
    "the means: m keeps beta1 of itself and takes 1 - beta1 of the gradient, v the same of its square") {
  One one(5);
  one.update(1, 3);
  check_number("m after a gradient of 3", one.m, 0.2 * 3);
  check_number("v after a gradient of 3", one.v, 0.1 * 9);
  one.update(2, -1);
  check_number("m after gradients of 3 and -1", one.m, 0.8 * 0.6 - 0.2);
  check_number("v after gradients of 3 and -1", one.v, 0.9 * 0.9 + 0.1);
}

TEST_CASE("corrected, the first step is the rate, whatever the gradient's size") {
  for (const double gradient : {1e-6, 1.0, 1e6}) {
    One one(5);
    one.update(1, gradient);
    check_number(fmt::format("a weight of 5 after a gradient of {} at a rate of 0.1", gradient), one.weight,
                 4.9);
  }
}

TEST_CASE("the second step divides each mean by its own correction") {
  One one(5);
  one.update(1, 3);
  one.update(2, -1);
  const double m = 0.28 / (1 - 0.64), v = 0.91 / (1 - 0.81);
  check_number("a weight of 5 after gradients of 3 and -1", one.weight, 4.9 - 0.1 * m / std::sqrt(v));
}

TEST_CASE("epsilon joins the root, not what is under it") {
  One one(5);
  one.update(1, 0.5, 0.1, 0.5);
  check_number("a weight of 5 after a gradient of 0.5, with an epsilon of 0.5,", one.weight, 5 - 0.1 * 0.5);
}

TEST_CASE("decay takes rate * decay of the weight, and the means know nothing of it") {
  One one(5, 0.2);
  one.update(1, 0, 0.1, 1e-8);
  check_number("m of a gradient of 0", one.m, 0);
  check_number("a weight of 5 with a gradient of 0, a rate of 0.1 and a decay of 0.2", one.weight,
               5 - 0.1 * 0.2 * 5);
}

TEST_CASE("the scale multiplies the gradient, before the means see it") {
  One one(5);
  one.update(1, 8, 0.1, 0, 0.25);
  check_number("m after a gradient of 8 at a scale of 0.25", one.m, 0.2 * 2);
  check_number("v after a gradient of 8 at a scale of 0.25", one.v, 0.1 * 4);
}

TEST_CASE("a scale that is not finite changes nothing") {
  for (const double scale : {std::nan(""), HUGE_VAL}) {
    One one(5, 0.2);
    one.update(1, 3);
    const double weight = one.weight.item(), m = one.m.item();
    one.update(2, 3, 0.1, 0, scale);
    check_number(fmt::format("the weight after a scale of {}", scale), one.weight, weight);
    check_number(fmt::format("m after a scale of {}", scale), one.m, m);
  }
}

TEST_CASE("without a scale, every part by itself") {
  One a(1), b(-1, 0.5);
  const Tensor ga = One::number(2), gb = One::number(-4);
  const AdamWPart parts[] = {{a.weight.view(), ga.view(), a.m.view(), a.v.view(), a.decay},
                             {b.weight.view(), gb.view(), b.m.view(), b.v.view(), b.decay}};
  backend("reference").adamw({0.1, 0.8, 0.9, 0, 1}, parts);
  check_number("the first part's weight", a.weight, 0.9);
  check_number("the second part's weight", b.weight, -1 + 0.1 + 0.1 * 0.5);
}
