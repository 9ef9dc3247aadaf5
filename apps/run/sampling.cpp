#include "apps/run/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/check.h"
#include "tensor/math.h"

namespace chapbook {

void check_sampling(const Sampling& sampling) {
  const auto within = [](double x, double low, double high) { return x >= low && x <= high; };
  check(std::isfinite(sampling.temperature) && sampling.temperature >= 0,
        "the temperature cannot be {}; allowed: 0 or more", sampling.temperature);
  check(sampling.top_k >= 0, "top-k cannot be {}; allowed: 0 (all tokens) or more", sampling.top_k);
  check(sampling.top_p > 0 && sampling.top_p <= 1, "top-p cannot be {}; allowed: more than 0, up to 1",
        sampling.top_p);
  check(within(sampling.min_p, 0, 1), "min-p cannot be {}; allowed: 0 to 1", sampling.min_p);
  check(std::isfinite(sampling.repetition_penalty) && sampling.repetition_penalty > 0,
        "the repetition penalty cannot be {}; allowed: more than 0, where 1 is none",
        sampling.repetition_penalty);
  check(within(sampling.presence_penalty, -2, 2), "the presence penalty cannot be {}; allowed: -2 to 2",
        sampling.presence_penalty);
  check(within(sampling.frequency_penalty, -2, 2), "the frequency penalty cannot be {}; allowed: -2 to 2",
        sampling.frequency_penalty);
  for (const auto& [id, bias] : sampling.logit_bias)
    check(within(bias, -100, 100), "the bias of token {} cannot be {}; allowed: -100 to 100", id, bias);
  check(sampling.tokens >= 0, "tokens cannot be {}; allowed: 0 or more", sampling.tokens);
  for (const std::string& stop : sampling.stop) check(!stop.empty(), "a text to stop at cannot be empty");
}

// f(id, times) for each different token of ids, in order of ids.
template <class F>
static void count_each(std::span<const int32_t> ids, F&& f) {
  RecycledVector<int32_t> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0, end = 0; i < sorted.size(); i = end) {
    while (end < sorted.size() && sorted[end] == sorted[i]) ++end;
    f(sorted[i], static_cast<double>(end - i));
  }
}

void adjust(std::span<float> logits, const Sampling& sampling, std::span<const int32_t> ids, int64_t prompt) {
  for (const auto& [id, bias] : sampling.logit_bias) {
    check(id >= 0 && id < static_cast<int64_t>(logits.size()), "logit bias: there is no token {}", id);
    logits[id] += static_cast<float>(bias);
  }
  if (sampling.repetition_penalty != 1)
    count_each(ids, [&](int32_t id, double) {
      float& x = logits[id];
      const float penalty = static_cast<float>(sampling.repetition_penalty);
      x = x > 0 ? x / penalty : x * penalty;
    });
  if (sampling.frequency_penalty != 0 || sampling.presence_penalty != 0)
    count_each(ids.subspan(prompt), [&](int32_t id, double times) {
      logits[id] -= static_cast<float>(times * sampling.frequency_penalty + sampling.presence_penalty);
    });
}

static bool likelier(const Choice& a, const Choice& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
}

// f over all of x, from `first`, in chains that vectors compute side by side: a vocabulary is long, and this
// is done for every token.
template <class T, class F>
static T fold(std::span<const float> x, T first, F&& f) {
  constexpr size_t chains = 16;
  T sums[chains];
  std::fill(sums, sums + chains, first);
  const size_t whole = x.size() / chains * chains;
  for (size_t i = 0; i < whole; i += chains)
    for (size_t c = 0; c < chains; ++c) sums[c] = f(sums[c], x[i + c]);
  for (size_t i = whole; i < x.size(); ++i) sums[i - whole] = f(sums[i - whole], x[i]);
  return std::accumulate(sums, sums + chains, first, f);
}

static double sum_of(std::span<const float> x) {
  return fold(x, 0.0, [](double sum, auto x) { return sum + x; });
}

// Throws where scores are not numbers. -inf is one: a token that is forbidden.
static float largest_of(std::span<const float> logits) {
  const auto larger = [](float a, float b) { return a > b ? a : b; };  // passes over NaN in b
  const float largest = fold(logits, -std::numeric_limits<float>::infinity(), larger);
  bool numbers = true;
  for (const float x : logits) numbers &= x == x;
  check(numbers && std::isfinite(largest), "the model's scores are not numbers: its weights are broken");
  return largest;
}

static int32_t place_of(float x, std::span<const float> logits) {
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), x) - logits.begin());
}

void check_scores(std::span<const float> logits) { largest_of(logits); }

// exp((x - largest) / temperature) for each score x: the likeliest token weighs 1.
static RecycledVector<float> weights_of(std::span<const float> logits, float largest, double temperature) {
  RecycledVector<float> weights(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    weights[i] = math::exp(static_cast<float>((logits[i] - largest) / temperature));
  return weights;
}

Choices left_to_draw(std::span<const float> logits, const Sampling& sampling) {
  const float largest = largest_of(logits);
  if (sampling.temperature == 0) return {{place_of(largest, logits), 1}};
  const RecycledVector<float> weights = weights_of(logits, largest, sampling.temperature);
  double all = sum_of(weights);
  // Sorting the whole vocabulary takes longer than a small model does, and is seldom needed: tokens below
  // `least` make up less than 1 - top_p, even all together.
  const bool cut = sampling.top_k > 0 && sampling.top_k < static_cast<int64_t>(weights.size());
  const double tail = cut ? 0 : (1 - sampling.top_p) * all / static_cast<double>(weights.size());
  const double least = sampling.top_p == 1 && !cut ? sampling.min_p : tail;
  Choices choices;
  choices.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i)
    if (weights[i] >= least) choices.push_back({static_cast<int32_t>(i), weights[i]});
  if (cut) {
    std::partial_sort(choices.begin(), choices.begin() + sampling.top_k, choices.end(), likelier);
    choices.resize(sampling.top_k);
    all = 0;
    for (const Choice& choice : choices) all += choice.probability;
  } else if (sampling.top_p < 1) {
    std::sort(choices.begin(), choices.end(), likelier);
  }
  double kept = 0;
  size_t count = 0;
  while (count < choices.size() && (count == 0 || kept < sampling.top_p * all))
    kept += choices[count++].probability;
  choices.resize(count);
  std::erase_if(choices, [&](const Choice& choice) { return choice.probability < sampling.min_p; });
  kept = 0;
  for (const Choice& choice : choices) kept += choice.probability;
  for (Choice& choice : choices) choice.probability /= kept;
  return choices;
}

int32_t sample(std::span<const float> logits, const Sampling& sampling, Random& random) {
  if (sampling.temperature > 0 && sampling.top_k == 0 && sampling.top_p == 1 && sampling.min_p == 0) {
    // Nothing is cut, so there is no need for a list of what is left.
    const RecycledVector<float> weights = weights_of(logits, largest_of(logits), sampling.temperature);
    double left = random.uniform() * sum_of(weights);
    for (size_t i = 0; i < weights.size(); ++i)
      if ((left -= weights[i]) < 0) return static_cast<int32_t>(i);
    return place_of(1, weights);  // rounding left a little over
  }
  const Choices choices = left_to_draw(logits, sampling);
  if (choices.size() == 1) return choices[0].id;
  double left = random.uniform();
  for (const Choice& choice : choices)
    if ((left -= choice.probability) < 0) return choice.id;
  return choices.back().id;
}

std::vector<Choice> ranked(std::span<const float> logits, double temperature) {
  std::vector<Choice> choices(logits.size());
  const double largest = largest_of(logits);
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    choices[i] = {static_cast<int32_t>(i), std::exp((logits[i] - largest) / temperature)};
    sum += choices[i].probability;
  }
  for (Choice& choice : choices) choice.probability /= sum;
  std::sort(choices.begin(), choices.end(), likelier);
  return choices;
}

LogProbabilities::LogProbabilities(std::span<const float> logits) : logits_(logits) {
  const float largest = largest_of(logits);
  log_sum_ = largest + std::log(sum_of(weights_of(logits, largest, 1)));
}

std::vector<Choice> LogProbabilities::likeliest(int64_t count) const {
  std::vector<Choice> choices(logits_.size());
  for (size_t i = 0; i < choices.size(); ++i)
    choices[i] = {static_cast<int32_t>(i), (*this)(static_cast<int32_t>(i))};
  const auto end = choices.begin() + std::min<int64_t>(count, static_cast<int64_t>(choices.size()));
  std::partial_sort(choices.begin(), end, choices.end(), likelier);
  return {choices.begin(), end};
}

}  // namespace chapbook
