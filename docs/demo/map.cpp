// What chapter 0 prints: `fresh`, a model that has learned nothing; `stations`, one sentence on its way
// through everything that a model is made of.
#include <fmt/format.h>

#include <cmath>

#include "apps/run/generator.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "nn/gpt.h"
#include "optim/optimizer.h"

using namespace chapbook;

// A tokenizer of 512 tokens, learned from 200 of the built-in stories.
static Tokenizer learn_tokenizer() {
  std::string text;
  write_stories(200, 1, [&](std::string_view story) { text += story; });
  return train_bpe(text, 512);
}

static constexpr GPTConfig small{.layers = 2, .heads = 2, .width = 64, .context = 64, .vocabulary = 512};

static void fresh() {
  const Tokenizer tokenizer = learn_tokenizer();
  GPT gpt(small);
  Random random{1};
  gpt.initialise(random);
  std::string story = tell(gpt, tokenizer, "Once upon a time", {.tokens = 60, .stop_at_end = false});
  for (char& letter : story)
    if (letter < ' ' || letter > '~') letter = '?';  // bytes that are no letter by themselves
  story = "Once upon a time" + story;
  for (size_t at = 0; at < story.size(); at += 72) fmt::print("{}\n", story.substr(at, 72));
}

// The piece of text behind a token, with its spaces to be seen.
static std::string piece(const Tokenizer& tokenizer, int32_t id) {
  std::string text = tokenizer.decode(std::vector<int32_t>{id});
  for (size_t at; (at = text.find(' ')) != std::string::npos;) text.replace(at, 1, "_");
  return text;
}

static void stations() {
  const std::string text = "Once upon a time there was a little cat.";
  const Tokenizer tokenizer = learn_tokenizer();
  const std::vector<int32_t> ids = tokenizer.encode(text);
  fmt::print("data      text      {}\n          pieces   ", text);
  for (const int32_t id : ids) fmt::print(" {}", piece(tokenizer, id));
  fmt::print("\n          tokens    {}\n", fmt::join(ids, " "));

  // Each token is to predict the one after it.
  const auto places = static_cast<int64_t>(ids.size()) - 1;
  const Tensor tokens = Tensor::from(std::vector<int32_t>(ids.begin(), ids.end() - 1), {1, places});
  const Tensor targets = Tensor::from(std::vector<int32_t>(ids.begin() + 1, ids.end()), {1, places});
  fmt::print("tensor    tokens    {} {}\n", tokens.shape().to_string(), name_of(tokens.dtype()));

  GPT gpt(small);
  Random random{1};
  gpt.initialise(random);
  const Variable logits = gpt(tokens);
  fmt::print(
      "nn        model     {} parameters\n          logits    {}, a score for every token at each place\n",
      count_parameters(gpt), logits.shape().to_string());

  const Variable loss = gpt.loss(tokens, targets);
  fmt::print("          loss      {:.1f} nats; a blind guess costs ln 512 = {:.1f}\n", loss.value().item(),
             std::log(512));
  backward(loss);
  int64_t gradients = 0;
  for (const Parameter& each : parameters(gpt)) gradients += each.variable.gradient().count();
  fmt::print("autograd  backward  {} gradients, one for each parameter\n", gradients);

  AdamW optimizer(parameters(gpt));
  for (int step = 1; step <= 40; ++step) {
    optimizer.clear_gradients();
    backward(gpt.loss(tokens, targets));
    optimizer.step(3e-3);
    if (step == 1 || step == 40)
      fmt::print("optim     step {:<4} loss {:.1f}\n", step, gpt.loss(tokens, targets).value().item());
  }
  const std::vector<float> scores = gpt(tokens).value().to_vector<float>();
  fmt::print("apps      predict  ");
  for (int64_t place = 0; place < places; ++place) {
    const auto row =
        std::span(scores).subspan(static_cast<size_t>(place * small.vocabulary), small.vocabulary);
    fmt::print(" {}", piece(tokenizer, ranked(row)[0].id));
  }
  fmt::print("\n");
}

// The loss of one place with these scores, where token `target` came: -ln softmax(z)[target].
static double loss_of(const std::vector<double>& z, size_t target) {
  double sum = 0;
  for (const double score : z) sum += std::exp(score);
  return std::log(sum) - z[target];
}

static void slope() {
  const std::vector<double> z = {2, 1, 0, -1};
  const size_t target = 1;
  const Variable scores = Variable::parameter(Tensor::from(z, {1, 4}));
  backward(cross_entropy(scores, Tensor::from(std::vector<int32_t>{target}, {1})));
  const auto gradient = scores.gradient().to_vector<double>();
  double sum = 0, largest = 0;
  for (const double score : z) sum += std::exp(score);
  fmt::print("token        score    p      p - 1 for the one that came    gradient by backward\n");
  for (size_t i = 0; i < z.size(); ++i) {
    const double h = 1e-5, p = std::exp(z[i]) / sum;
    std::vector<double> up = z, down = z;
    up[i] += h, down[i] -= h;
    largest =
        std::max(largest, std::abs((loss_of(up, target) - loss_of(down, target)) / (2 * h) - gradient[i]));
    fmt::print("{}{:<12} {:>4.0f}   {:.3f}   {:>28.3f}   {:>21.3f}\n", i, i == target ? " (it came)" : "",
               z[i], p, p - (i == target), gradient[i]);
  }
  fmt::print("largest distance from measured slopes: below {:.0e}\n",
             std::pow(10, std::ceil(std::log10(largest) + 0.5)));
}

int main(int argc, char** argv) {
  const std::string part = argc == 2 ? argv[1] : "";
  if (part == "fresh") return fresh(), 0;
  if (part == "stations") return stations(), 0;
  if (part == "slope") return slope(), 0;
  fmt::print(stderr, "map: fresh, stations or slope\n");
  return 2;
}
