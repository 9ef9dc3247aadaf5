// Handwritten digits: a net of one hidden layer on the files of MNIST (LeCun et al. 1998).
//   examples_digits DIRECTORY    where train-images-idx3-ubyte, train-labels-idx1-ubyte,
//   t10k-images-idx3-ubyte
//                                and t10k-labels-idx1-ubyte lie; examples_draw_digits makes such files
#include <algorithm>
#include <numeric>
#include <random>

#include "data/idx.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "optim/optimizer.h"

using namespace chapbook;

struct Digits {
  Tensor images, labels;  // (N, pixels) f32 between 0 and 1, (N) i32
};

Digits read_digits(const std::string& directory, const std::string& part) {
  const Tensor images = read_idx(directory + "/" + part + "-images-idx3-ubyte");
  const Tensor labels = read_idx(directory + "/" + part + "-labels-idx1-ubyte");
  check(images.rank() == 3 && labels.rank() == 1 && images.size(0) == labels.size(0) && labels.count() > 0,
        "{}: {} images and {} labels of '{}' do not go together", directory, images.shape(), labels.shape(),
        part);
  return {images.to(DType::f32).reshape({images.size(0), -1}) / 255, labels.to(DType::i32)};
}

int main(int argc, char** argv) try {
  check(argc == 2, "usage: {} DIRECTORY with MNIST's files", argv[0]);
  const Digits train = read_digits(argv[1], "train"), test = read_digits(argv[1], "t10k");
  const int64_t count = train.labels.count(), batch = std::min<int64_t>(100, count);

  Sequential net(Linear(train.images.size(1), 128, true), Relu(), Linear(128, 10, true));
  Random random{1};
  net.initialise(random);
  AdamW optimizer(parameters(net), {.decay = 0.01});
  std::vector<int32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 shuffler(1);
  for (int epoch = 1; epoch <= 5; ++epoch) {
    std::shuffle(order.begin(), order.end(), shuffler);
    double loss_sum = 0;
    for (int64_t i = 0; i + batch <= count; i += batch) {
      const Tensor chosen = Tensor::from(std::span<const int32_t>(order).subspan(i, batch), {batch});
      const Tensor labels = gather_rows(train.labels.to(DType::f32).reshape({-1, 1}), chosen).to(DType::i32);
      const Variable loss = cross_entropy(net(gather_rows(train.images, chosen)), labels.reshape({-1}));
      loss_sum += loss.value().item();
      backward(loss);
      optimizer.step(1e-3);
      optimizer.clear_gradients();
    }
    const Tensor guesses = argmax(net(test.images).value());
    fmt::print("epoch {}  loss {:.4f}  accuracy {:.4f}\n", epoch,
               loss_sum / static_cast<double>(count / batch),
               mean(equal(guesses, test.labels).to(DType::f32)).item());
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "digits: {}\n", error.what());
  return 2;
}
