#include "nn/sequential.h"

#include <doctest/doctest.h>

#include "nn/adapt.h"
#include "nn/linear.h"

using namespace chapbook;

TEST_CASE("Sequential: layers one after the other, with the names and first weights of each") {
  Sequential net(Linear(3, 4, true), Tanh(), Linear(4, 2, false));
  Random random{5};
  net.initialise(random);
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters(net)) names.push_back(parameter.name);
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "2.weight"});

  // The same three steps by hand, with weights that are drawn alike.
  Linear first(3, 4, true), second(4, 2, false);
  Random again{5};
  first.initialise(again);
  second.initialise(again);
  const Tensor x = normal({6, 3}, random);
  const std::vector<float> y = net(x).value().to_vector<float>();
  CHECK(y == second(tanh(first(x))).value().to_vector<float>());
  CHECK(y != std::vector<float>(12, 0));

  backward(sum(net(x)));
  for (const Parameter& parameter : parameters(net)) CHECK(parameter.variable.gradient());
  CHECK(Sequential()(x).value().to_vector<float>() == x.to_vector<float>());

  // The parts that are named are those that compute: what one is given later changes the result.
  add_low_rank(net, {.rank = 2}, random, [](const std::string& name) { return name == "0"; });
  CHECK(net(x).value().to_vector<float>() == y);  // the way of low rank begins as nothing
  for (const Parameter& parameter : parameters(net))
    if (parameter.name == "0.lora_B") start_at(parameter.variable, 1);
  CHECK(net(x).value().to_vector<float>() != y);
}

TEST_CASE("the activations as layers are the functions") {
  const Variable x = Tensor::from<float>({-2, -0.5, 0, 0.5, 2}, {5});
  const auto same = [](const Variable& a, const Variable& b) {
    CHECK(a.value().to_vector<float>() == b.value().to_vector<float>());
  };
  same(Relu()(x), relu(x));
  same(Tanh()(x), tanh(x));
}
