// XOR: one bit of two inputs. No line separates (0,1) and (1,0) from (0,0) and (1,1), so a single layer
// cannot learn it (Minsky & Papert 1969); eight hidden numbers can.
#include "nn/linear.h"
#include "nn/sequential.h"
#include "optim/optimizer.h"

using namespace chapbook;

int main() {
  const Tensor x = Tensor::from<float>({0, 0, 0, 1, 1, 0, 1, 1}, {4, 2});
  const Tensor targets = Tensor::from<int32_t>({0, 1, 1, 0}, {4});

  Sequential net(Linear(2, 8, true), Tanh(), Linear(8, 2, true));
  Random random{1};
  net.initialise(random);
  AdamW optimizer(parameters(net), {.decay = 0});

  for (int step = 1; step <= 200; ++step) {
    const Variable loss = cross_entropy(net(x), targets);
    if (step % 50 == 0) fmt::print("step {:3}  loss {:.4f}\n", step, loss.value().item());
    backward(loss);
    optimizer.step(0.03);
    optimizer.clear_gradients();
  }

  const Tensor learned = softmax(net(x).value());
  for (int64_t i = 0; i < 4; ++i)
    fmt::print("{:.0f} xor {:.0f}: 1 with probability {:.3f}\n", x.select(0, i).select(0, 0).item(),
               x.select(0, i).select(0, 1).item(), learned.select(0, i).select(0, 1).item());
  fmt::print("right: {} of 4\n", sum(equal(argmax(learned), targets).to(DType::f32)).item());
}
