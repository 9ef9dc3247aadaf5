#include "data/stories.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "optim/optimizer.h"

int main() {
  using namespace chapbook;
  Sequential net(Linear(3, 4, true), Relu(), Linear(4, 1, true));
  Random random{1};
  net.initialise(random);
  SGD optimizer(parameters(net));
  backward(sum(net(normal({5, 3}, random))));
  optimizer.step(0.1);
  fmt::print("{} parameters, {} step, {}\n", count_parameters(net), optimizer.steps(),
             built_in_stories().plots().empty() ? "no plots" : "plots");
}
