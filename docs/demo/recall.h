// A task that cannot be done without looking back. Eight places hold a name and a number each; then one name,
// or two, are asked for: what were their numbers? And a model of one layer that looks in a way of choice.
#pragma once
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "nn/attention.h"
#include "nn/embedding.h"
#include "optim/optimizer.h"

namespace chapbook {

constexpr int64_t recall_places = 8, recall_names = 16, recall_numbers = 10;

struct Recall {
  Tensor names, numbers;        // (B, places) i32; no name stands twice in a row
  std::array<Tensor, 2> asked;  // (B, 1) i32: the names asked for
  Tensor answers;               // (B times how many are asked for) i32

  Recall(int64_t batch, int asked_for, Random& random) {
    std::vector<int32_t> name, number, answer;
    std::array<std::vector<int32_t>, 2> ask;
    for (int64_t b = 0; b < batch; ++b) {
      std::vector<int32_t> order(recall_names);
      std::iota(order.begin(), order.end(), 0);
      for (int64_t i = 0; i < recall_places; ++i)
        std::swap(order[i], order[i + static_cast<int64_t>(random.below(recall_names - i))]);
      for (int64_t i = 0; i < recall_places; ++i) {
        name.push_back(order[i]);
        number.push_back(static_cast<int32_t>(random.below(recall_numbers)));
      }
      for (int which = 0; which < 2; ++which) {
        const auto place = static_cast<int64_t>(random.below(recall_places));
        ask[which].push_back(order[place]);
        if (which < asked_for) answer.push_back(number[b * recall_places + place]);
      }
    }
    names = Tensor::from(name, {batch, recall_places}), numbers = Tensor::from(number, names.shape());
    for (int which = 0; which < 2; ++which) asked[which] = Tensor::from(ask[which], {batch, 1});
    answers = Tensor::from(answer, {static_cast<int64_t>(answer.size())});
  }
};

// frozen: attention whose log of the sum counts as a constant on the way back, which is wrong.
enum class Look { nowhere, everywhere, attention, frozen };

struct Looker : Module {
  Look look;
  int64_t heads;
  int asked_for;
  double sharper;  // what scores are multiplied by, beside 1 / sqrt(D)
  Embedding name, number, first, second;
  Linear q, k, v, out;

  Looker(Look look, int64_t width, int64_t heads = 1, int asked_for = 1, double sharper = 1)
      : look(look),
        heads(heads),
        asked_for(asked_for),
        sharper(sharper),
        name(recall_names, width),
        number(recall_numbers, width),
        first(recall_names, width),
        second(recall_names, width),
        q(width, width, false),
        k(width, width, false),
        v(width, width, false),
        out(width, asked_for * recall_numbers, true) {
    for (Embedding* each : {&name, &number, &first, &second}) each->deviation = 1;
  }

  // region: looking
  Variable operator()(const Recall& task) const {
    const Variable held = name(task.names) + number(task.numbers);  // (B, places, C)
    Variable asking = first(task.asked[0]);                         // (B, 1, C)
    if (asked_for == 2) asking = asking + second(task.asked[1]);
    Variable found;
    if (look == Look::nowhere) found = v(asking);
    if (look == Look::everywhere) found = mean(v(held), {1}, true);
    if (look == Look::frozen) found = frozen(q(asking) * sharper, k(held), v(held));
    if (look == Look::attention)
      found = attention(split_heads(q(asking) * sharper, heads), split_heads(k(held), heads),
                        split_heads(v(held), heads));
    return reshape(out(found), {task.names.size(0) * asked_for, recall_numbers});
  }
  // endregion

  // region: frozen
  static Variable frozen(const Variable& q, const Variable& k, const Variable& v) {
    const Variable scores = matmul(q, transpose(k, 1, 2)) / std::sqrt(static_cast<double>(q.size(2)));
    const Tensor log_sum = slice(scores - log_softmax(scores), 2, 0, 1).value();  // a Tensor: a constant
    return matmul(exp(scores - Variable(log_sum)), v);
  }
  // endregion

  void parts(PartVisitor& visit) override {
    visit("name", name), visit("number", number), visit("first", first), visit("second", second);
    visit("q", q), visit("k", k), visit("v", v), visit("out", out);
  }
};

struct Learned {
  std::vector<double> losses;  // of each step
  double loss, right;          // on tasks not seen: loss (nats per answer), share of answers that are right
};

inline Learned learn_recall(Looker& model, int64_t steps, uint64_t seed, double rate = 0.003) {
  Random random{seed};
  model.initialise(random);
  AdamW optimizer(parameters(model));
  Learned learned{{}, 0, 0};
  for (int64_t step = 0; step < steps; ++step) {
    const Recall task(64, model.asked_for, random);
    const Variable loss = cross_entropy(model(task), task.answers);
    backward(loss);
    optimizer.step(rate);
    optimizer.clear_gradients();
    learned.losses.push_back(loss.value().item());
  }
  NoGrad no_grad;
  Random unseen{1000 + seed};
  const Recall task(1000, model.asked_for, unseen);
  const Tensor logits = model(task).value();
  learned.loss = cross_entropy(Variable(logits), task.answers).value().item();
  const std::vector<double> scores = logits.to_vector<double>(), answers = task.answers.to_vector<double>();
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto row = scores.begin() + static_cast<std::ptrdiff_t>(i * recall_numbers);
    learned.right += (std::max_element(row, row + recall_numbers) - row == answers[i]) /
                     static_cast<double>(answers.size());
  }
  return learned;
}

}  // namespace chapbook
