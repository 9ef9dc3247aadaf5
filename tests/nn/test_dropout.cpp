// Dropout: only in training, keeping the mean, and replayable.
#include <doctest/doctest.h>

#include "tests/nn/models.h"

using namespace chapbook;

TEST_CASE("dropout drops the share it should and keeps the mean") {
  for (const std::string_view name : backend_names()) {
    const int64_t n = 100'000;
    const Tensor x = Tensor::full({n}, 2, DType::f32, backend(name));
    Random random{1};
    const std::vector<float> y = Dropout{0.3, &random}(Variable(x)).value().to_vector<float>();
    int64_t dropped = 0;
    double total = 0;
    bool only_two_values = true;
    for (const float each : y) {
      dropped += each == 0;
      only_two_values &= each == 0 || std::abs(each - 2 / 0.7f) <= 1e-6f;
      total += each;
    }
    CHECK(only_two_values);
    // Of n fair draws the share is off by sqrt(0.3 * 0.7 / n) = 0.0014; five of those.
    CHECK(std::abs(static_cast<double>(dropped) / n - 0.3) <= 0.0075);
    CHECK(std::abs(total / n - 2) <= 2 * 0.0075 / 0.7);
  }
}

TEST_CASE("the gradient goes where the number went") {
  for (const std::string_view name : backend_names()) {
    const Variable x = Variable::parameter(Tensor::full({1000}, 3, DType::f32, backend(name)));
    Random random{1};
    const Variable y = Dropout{0.5, &random}(x);
    backward(sum(y));
    CHECK(same_bits(x.gradient() * 3, y.value()));
  }
}

TEST_CASE("a model drops in training and only there, the same with the same random numbers") {
  GPTConfig config{.layers = 2, .heads = 2, .width = 16, .context = 8, .vocabulary = 23};
  for (const std::string_view name : backend_names()) {
    GPT plain(config, backend(name));
    scramble(plain, 1);
    config.dropout = 0.2;
    GPT model(config, backend(name));
    scramble(model, 1);
    Random random{2};
    const Tensor tokens = random_ids({3, 8}, config.vocabulary, random, backend(name));
    const Tensor expected = plain(tokens).value();
    CHECK(same_bits(model(tokens).value(), expected));

    Random first{5}, again{5}, other{6};
    model.train_with(&first);
    const Tensor dropped = model(tokens).value();
    CHECK_FALSE(same_bits(dropped, expected));
    CHECK(first.counter > 0);
    CHECK_FALSE(same_bits(model(tokens).value(), dropped));  // new masks every time
    model.train_with(&again);
    CHECK(same_bits(model(tokens).value(), dropped));
    model.train_with(&other);
    CHECK_FALSE(same_bits(model(tokens).value(), dropped));

    model.train_with(nullptr);
    CHECK(same_bits(model(tokens).value(), expected));
    config.dropout = 0;
  }
}

TEST_CASE(
    "every place of dropout in the model is one of GPT-2's: the embeddings and both branches of a block") {
  GPTConfig config{.layers = 3, .heads = 2, .width = 16, .context = 8, .vocabulary = 23, .dropout = 0.1};
  GPT model(config);
  Random random{0};
  model.train_with(&random);
  model(Tensor::zeros({2, 8}, DType::i32));
  // Each mask takes a counter for four numbers: 1 + 2 * layers masks of (2, 8, 16).
  CHECK(random.counter == (1 + 2 * 3) * 2 * 8 * 16 / 4);
}
