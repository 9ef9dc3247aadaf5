// Chapter 10: how sharp softmax is with and without the scale, what that leaves of the gradient of scores and
// of learning; and a model whose mask lets it see one place too far.
#include <fmt/format.h>

#include <algorithm>

#include "docs/demo/recall.h"
#include "docs/demo/story_bytes.h"
#include "docs/tool/results.h"
#include "nn/mlp.h"
#include "nn/norm.h"

using namespace chapbook;

// ---- sharpness of fresh attention: n keys, queries and keys of deviation 1

constexpr int64_t places = 64, draws = 400;

struct Sharpness {
  double entropy = 0;                  // nats
  double typical = 0, on_average = 0;  // size of ds over size of dp: the median of the draws, and the root of
                                       // the mean of its square
};

static Sharpness sharpness(int64_t D, bool scaled) {
  Random random{1};
  Backend& reference = backend("reference");
  Sharpness mean;
  std::vector<double> ratios;
  for (int64_t draw = 0; draw < draws; ++draw) {
    const Tensor q = normal({1, D}, random, DType::f64, reference),
                 k = normal({places, D}, random, DType::f64, reference);
    const Tensor scores = matmul(q, k.transpose(0, 1)) * (scaled ? 1 / std::sqrt(static_cast<double>(D)) : 1),
                 p = softmax(scores), dp = normal({1, places}, random, DType::f64, reference),
                 ds = softmax_backward(p, dp);
    mean.entropy += -sum(p * log_softmax(scores)).item() / draws;
    const double square = sum(ds * ds).item() / sum(dp * dp).item();
    ratios.push_back(std::sqrt(square));
    mean.on_average += square / draws;
  }
  std::sort(ratios.begin(), ratios.end());
  mean.typical = ratios[draws / 2];
  mean.on_average = std::sqrt(mean.on_average);
  return mean;
}

static void measure_sharpness(Results& results) {
  Plot entropy{"Entropy of fresh weights over 64 places", "numbers of a head, D", "nats", true, false, {}},
      gradient{"How much of the gradient of the weights reaches the scores",
               "numbers of a head, D",
               "size of ds over size of dp",
               true,
               true,
               {}};
  Line formula{"ln 64 - D / 2", {}, {}};
  for (const bool scaled : {true, false}) {
    const char *key = scaled ? "scaled" : "plain", *name = scaled ? "over root D" : "as they are";
    Line line{fmt::format("scores {}", name), {}, {}},
        typical{fmt::format("{}: median of draws", name), {}, {}},
        on_average{fmt::format("{}: root mean square", name), {}, {}};
    for (int64_t D = 1; D <= 1024; D *= 2) {
      const Sharpness here = sharpness(D, scaled);
      for (Line* each : {&line, &typical, &on_average}) each->x.push_back(static_cast<double>(D));
      line.y.push_back(here.entropy);
      typical.y.push_back(here.typical);
      on_average.y.push_back(here.on_average);
      const std::string name_of_D = std::to_string(D);
      results.values["entropy"][key][name_of_D] = here.entropy;
      results.values["typical"][key][name_of_D] = here.typical;
      results.values["on_average"][key][name_of_D] = here.on_average;
      const double expected = std::log(places) - static_cast<double>(D) / 2;
      if (!scaled && expected > 0) formula.x.push_back(static_cast<double>(D)), formula.y.push_back(expected);
    }
    entropy.lines.push_back(line);
    gradient.lines.push_back(typical), gradient.lines.push_back(on_average);
  }
  entropy.lines.push_back(formula);
  results.values["formula"]["scaled"] = std::log(places) - 0.5;
  results.figure("attention-entropy", entropy);
  results.figure("attention-gradients", gradient);
}

// ---- learning with and without the scale

constexpr int64_t seeds = 5, recall_steps = 300;

// small: without the scale, but with first weights of queries that are so much smaller: the same start.
enum class Scale { scaled, plain, small };

static void learn_with_scales(Results& results) {
  Plot curves{
      "Finding a number by its name, D = 256", "step", "loss (nats), mean of 5 seeds", false, false, {}};
  for (const int64_t D : {16, 64, 256})
    for (const auto& [scale, key, name] : {std::tuple{Scale::scaled, "scaled", "with the scale"},
                                           {Scale::plain, "plain", "without"},
                                           {Scale::small, "small", "without, smaller first queries"}}) {
      const double root = std::sqrt(static_cast<double>(D));
      std::vector<double> losses(recall_steps);
      double loss = 0, low = INFINITY, high = 0;
      for (int64_t seed = 1; seed <= seeds; ++seed) {
        Looker model(Look::attention, D, 1, 1, scale == Scale::scaled ? 1 : root);
        if (scale == Scale::small) model.q.deviation /= root;
        const Learned learned = learn_recall(model, recall_steps, static_cast<uint64_t>(seed));
        for (size_t i = 0; i < losses.size(); ++i) losses[i] += learned.losses[i] / seeds;
        loss += learned.loss / seeds, low = std::min(low, learned.loss), high = std::max(high, learned.loss);
      }
      const auto at = [&](size_t step) {  // of the ten steps up to there
        double sum = 0;
        for (size_t i = step - 10; i < step; ++i) sum += losses[i] / 10;
        return sum;
      };
      results.values["recall"][key][std::to_string(D)] = {
          {"loss", loss}, {"low", low}, {"high", high}, {"at_50", at(50)}, {"at_100", at(100)}};
      Line line{name, {}, {}};
      for (size_t step = 10; step <= losses.size(); step += 10)
        line.x.push_back(static_cast<double>(step)), line.y.push_back(at(step));
      if (D == 256) curves.lines.push_back(line);
      fmt::print("{} D {}: {:.4f}, {:.4f} to {:.4f}; at 100 {:.3f}\n", key, D, loss, low, high, at(100));
      std::fflush(stdout);
    }
  results.figure("attention-learning", curves);
}

// ---- a mask that lets through one place too many

constexpr int64_t context = 32, width = 32, batch = 8, steps = 400;

struct Peeker : Module {
  Embedding wte, wpe;
  LayerNorm ln_1, ln_2, ln_f;
  Linear qkv, proj;
  MLP mlp;
  int64_t ahead = 0;  // how many later places each sees

  Peeker()
      : wte(256, width),
        wpe(context, width),
        ln_1(width, true),
        ln_2(width, true),
        ln_f(width, true),
        qkv(width, 3 * width, true),
        proj(width, width, true),
        mlp(width, true) {}

  // region: mask
  Variable attend(const Variable& q, const Variable& k, const Variable& v) const {
    const Variable scores = matmul(q, transpose(k, -1, -2)) / std::sqrt(static_cast<double>(width));
    const int64_t T = q.size(1);
    const Tensor visible = triangle(T, T, ahead, q.value().backend());
    return matmul(softmax(where(visible, scores, scalar(-INFINITY, scores.value()))), v);
  }
  // endregion

  Variable loss(const Tensor& tokens, const Tensor& targets) const {
    const Variable x = wte(tokens) + slice(wpe.weight, 0, 0, tokens.size(1)), three = qkv(ln_1(x));
    const auto part = [&](int64_t i) { return slice(three, 2, i * width, (i + 1) * width); };
    const Variable seen = proj(attend(part(0), part(1), part(2)), x);
    return linear_cross_entropy(ln_f(mlp(ln_2(seen), seen)), wte.weight, targets);
  }

  void parts(PartVisitor& visit) override {
    visit("wte", wte), visit("wpe", wpe), visit("ln_1", ln_1), visit("ln_2", ln_2), visit("ln_f", ln_f);
    visit("qkv", qkv), visit("proj", proj), visit("mlp", mlp);
  }
};

static void break_the_mask(Results& results) {
  Plot broken{"One block on stories, with a right mask and one that sees a place too far",
              "step",
              "loss (nats per byte)",
              false,
              false,
              {}};
  for (const int64_t ahead : {0, 1}) {
    Peeker model;
    Random random{1};
    model.initialise(random);
    AdamW optimizer(parameters(model));
    StoryBatches batches(batch, context, 1);
    const auto honest = [&] {  // on stories not seen, none sees a later place
      NoGrad no_grad;
      const int64_t before = std::exchange(model.ahead, 0);
      StoryBatches unseen(batch, context, 1000);
      double total = 0;
      for (int i = 0; i < 8; ++i) {
        unseen.next();
        total += model.loss(unseen.inputs, unseen.targets).value().item() / 8;
      }
      model.ahead = before;
      return total;
    };
    model.ahead = ahead;
    Line line{ahead ? "sees one place too far: training" : "right mask: training", {}, {}},
        tested{ahead ? "the same, asked honestly" : "the same, on unseen stories", {}, {}};
    double recent = 0;
    for (int64_t step = 1; step <= steps; ++step) {
      batches.next();
      const Variable loss = model.loss(batches.inputs, batches.targets);
      recent += loss.value().item() / 20;
      backward(loss);
      optimizer.step(0.003);
      optimizer.clear_gradients();
      if (step % 20 != 0) continue;
      line.x.push_back(static_cast<double>(step)), line.y.push_back(recent);
      tested.x.push_back(static_cast<double>(step)), tested.y.push_back(honest());
      recent = 0;
    }
    const char* key = ahead ? "peeking" : "right";
    results.values["mask"][key] = {{"training", line.y.back()}, {"honest", tested.y.back()}};
    fmt::print("mask {}: training {:.3f}, honest {:.3f}\n", key, line.y.back(), tested.y.back());
    broken.lines.push_back(line), broken.lines.push_back(tested);
  }
  results.figure("attention-mask", broken);
}

int main() {
  Results results("attention", {"docs/demo/recall.h", "nn/attention.h", "tensor/cpu/attention.cpp",
                                "tensor/cpu/softmax.cpp", "optim/optimizer.cpp"});
  results.configuration = {
      {"places", places},
      {"draws", draws},
      {"recall", {{"seeds", seeds}, {"steps", recall_steps}, {"batch", 64}}},
      {"mask", {{"width", width}, {"context", context}, {"batch", batch}, {"steps", steps}}}};
  measure_sharpness(results);
  learn_with_scales(results);
  break_the_mask(results);
  results.write();
}
