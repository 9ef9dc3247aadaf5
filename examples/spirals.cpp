// Two spirals: points of two arms that wind around each other, and a small net that learns where the border
// runs. What it learned is drawn into spirals.svg, or the file named.
#include <cmath>

#include "apps/report/svg.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "optim/optimizer.h"
#include "tensor/files.h"

using namespace chapbook;

int main(int argc, char** argv) {
  const int64_t n = 200;  // points of each arm
  std::vector<float> points;
  std::vector<int32_t> arms;
  for (int arm = 0; arm < 2; ++arm)
    for (int64_t i = 0; i < n; ++i) {
      const double along =
          static_cast<double>(i + 10) / static_cast<double>(n + 10);  // 0: middle, 1: outside
      const double angle = 3 * M_PI * along + M_PI * arm;
      points.push_back(static_cast<float>(along * std::cos(angle)));
      points.push_back(static_cast<float>(along * std::sin(angle)));
      arms.push_back(arm);
    }
  const Tensor x = Tensor::from(points, {2 * n, 2}), targets = Tensor::from(arms, {2 * n});

  Sequential net(Linear(2, 32, true), Tanh(), Linear(32, 32, true), Tanh(), Linear(32, 2, true));
  Random random{1};
  net.initialise(random);
  AdamW optimizer(parameters(net), {.decay = 0});
  for (int step = 1; step <= 1500; ++step) {
    const Variable loss = cross_entropy(net(x), targets);
    if (step % 300 == 0) fmt::print("step {:4}  loss {:.4f}\n", step, loss.value().item());
    backward(loss);
    optimizer.step(0.01);
    optimizer.clear_gradients();
  }
  const double right = mean(equal(argmax(net(x).value()), targets).to(DType::f32)).item();
  fmt::print("accuracy {:.4f}\n", right);

  // The plane in squares, each in the colour of the arm the net takes it for; then the points.
  const int side = 80;
  std::vector<float> places;
  for (int i = 0; i < side * side; ++i)
    for (const int at : {i % side, i / side})
      places.push_back(2.2f * (static_cast<float>(at) + 0.5f) / side - 1.1f);
  const auto taken = argmax(net(Tensor::from(places, {side * side, 2})).value()).to_vector<int32_t>();
  std::string drawn;
  for (int i = 0; i < side * side; ++i)
    drawn += fmt::format("<rect class='area c{}' opacity='0.3' x='{}' y='{}' width='5' height='5'/>\n",
                         taken[i], 20 + 5 * (i % side), 40 + 5 * (i / side));
  for (size_t i = 0; i < arms.size(); ++i)
    drawn += fmt::format("<circle class='area c{}' cx='{:.1f}' cy='{:.1f}' r='3'/>\n", arms[i],
                         220 + 400 / 2.2 * points[2 * i], 240 + 400 / 2.2 * points[2 * i + 1]);
  const std::string file = argc > 1 ? argv[1] : "spirals.svg";
  write_file(file, page(440, 460, 20, "What the net takes each place for", drawn));
  fmt::print("drawn: {}\n", file);
}
