// Blocks computed again in the backward pass: the same bits as without, for less memory.
#include <doctest/doctest.h>

#include "tests/nn/models.h"

using namespace chapbook;

namespace {

struct Walk {
  std::vector<double> losses;
  std::vector<Tensor> gradients;
  uint64_t counter;   // where the random numbers of dropout stand at the end
  double kept, peak;  // bytes above those before: between loss and backward, and at most
};

// Two batches, whose gradients add up.
Walk walk(const GPTConfig& config, bool recompute) {
  const BlockCache& blocks = default_backend().blocks();
  GPT model(config);
  scramble(model, 1, 0.1);
  Random random{7};
  const Tensor tokens = random_ids({8, config.context}, config.vocabulary, random);
  model.train_with(config.dropout > 0 ? &random : nullptr, recompute);
  Walk result;
  const auto before = static_cast<double>(blocks.live_bytes());
  default_backend().blocks().reset_peak();
  for (int i = 0; i < 2; ++i) {
    const Variable loss = model.loss(tokens, tokens);
    if (i == 0) result.kept = static_cast<double>(blocks.live_bytes()) - before;
    backward(loss);
    if (i == 0) result.peak = static_cast<double>(blocks.peak_bytes()) - before;
    result.losses.push_back(loss.value().item());
  }
  result.counter = random.counter;
  for (const Parameter& parameter : parameters(model))
    result.gradients.push_back(parameter.variable.gradient());
  return result;
}

}  // namespace

TEST_CASE("recompute: the same losses and gradients bit for bit, with dropout too, for less memory") {
  for (const double dropout : {0.0, 0.2})
    for (const bool bias : {true, false}) {
      CAPTURE(dropout);
      CAPTURE(bias);
      const GPTConfig config{.layers = 6,
                             .heads = 4,
                             .width = 64,
                             .context = 64,
                             .vocabulary = 512,
                             .bias = bias,
                             .dropout = dropout};
      const Walk plain = walk(config, false), again = walk(config, true);
      CHECK(again.losses == plain.losses);
      if (dropout > 0) CHECK(plain.losses[0] != plain.losses[1]);  // another mask for another batch
      CHECK(again.counter == plain.counter);
      for (size_t i = 0; i < plain.gradients.size(); ++i)
        CHECK(same_bits(again.gradients[i], plain.gradients[i]));

      // Six blocks keep about 16 C numbers a token each; now they keep C, and one block the rest.
      CHECK(again.kept < 0.25 * plain.kept);
      CHECK(again.peak < 0.45 * plain.peak);
      double gradients = 0;
      for (const Tensor& gradient : plain.gradients) gradients += 4.0 * static_cast<double>(gradient.count());
      const auto planned = static_cast<double>(activation_bytes(config, 8, true));
      MESSAGE("kept ", again.kept / plain.kept, ", peak ", again.peak / plain.peak, " of those without, ",
              again.peak / planned, " of what was planned");
      CHECK(again.peak >= 0.98 * planned);
      CHECK(again.peak <= 1.1 * planned + gradients);
    }
}

TEST_CASE("recompute: an evaluation and a change of dropout before backward") {
  const GPTConfig config{
      .layers = 2, .heads = 2, .width = 16, .context = 8, .vocabulary = 30, .dropout = 0.2};
  GPT model(config);
  scramble(model, 1);
  Random random{7};
  const Tensor tokens = random_ids({2, 8}, 30, random);
  const double evaluated = [&] {
    NoGrad no_grad;
    return model.loss(tokens, tokens).value().item();
  }();
  model.train_with(nullptr, true);
  CHECK(model.loss(tokens, tokens).value().item() == evaluated);
  model.train_with(&random, true);
  const Variable loss = model.loss(tokens, tokens);
  model.train_with(nullptr);
  CHECK_THROWS_WITH_AS(backward(loss), doctest::Contains("train_with()"), Error);
}
