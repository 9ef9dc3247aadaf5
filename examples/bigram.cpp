// A bigram model: the smallest language model there is. Of the last byte alone it says which comes next, from
// one row of scores for each byte. What it should learn is known exactly: how often which byte followed
// which.
#include <cmath>

#include "data/stories.h"
#include "nn/embedding.h"
#include "optim/optimizer.h"

using namespace chapbook;

int main() {
  std::string text;
  for (uint64_t i = 0; text.size() < 50000; ++i) text += built_in_stories().story(1, i) + "\n";
  std::vector<int32_t> bytes;
  for (const char letter : text) bytes.push_back(static_cast<uint8_t>(letter));
  const int64_t n = static_cast<int64_t>(bytes.size()) - 1;
  const Tensor before = Tensor::from(std::span<const int32_t>(bytes).first(n), {n}),
               after = Tensor::from(std::span<const int32_t>(bytes).last(n), {n});

  // The least loss a bigram model can have: the entropy of a byte, given the one before.
  std::vector<double> pairs(256 * 256), firsts(256);
  for (int64_t i = 0; i < n; ++i) ++pairs[bytes[i] * 256 + bytes[i + 1]], ++firsts[bytes[i]];
  double least = 0;
  for (size_t i = 0; i < pairs.size(); ++i)
    if (pairs[i] > 0) least -= pairs[i] / static_cast<double>(n) * std::log(pairs[i] / firsts[i / 256]);

  Embedding scores(256, 256);  // a row of scores for each byte
  Random random{1};
  scores.initialise(random);
  AdamW optimizer(parameters(scores), {.decay = 0});
  for (int step = 1; step <= 60; ++step) {
    const Variable loss = cross_entropy(scores(before), after);
    if (step % 20 == 0)
      fmt::print("step {:2}  loss {:.4f}, of which {:.4f} cannot be learned\n", step, loss.value().item(),
                 least);
    backward(loss);
    optimizer.step(step <= 40 ? 0.5 : 0.1);
    optimizer.clear_gradients();
  }

  const Tensor chances = softmax(scores.weight.value());
  std::string told = "T";
  while (told.size() < 60) {  // each byte drawn with its chance
    double left = uniform({1}, random).item();
    const std::vector<float> row = chances.select(0, static_cast<uint8_t>(told.back())).to_vector<float>();
    size_t next = 0;
    while (next < 255 && (left -= row[next]) > 0) ++next;
    told += next == '\n' ? ' ' : static_cast<char>(next);
  }
  fmt::print("it says: {}\n", told);
}
