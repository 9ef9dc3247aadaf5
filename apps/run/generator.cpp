#include "apps/run/generator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "data/utf8.h"
#include "tensor/math.h"

namespace chapbook {

void check_scores(std::span<const float> logits) {
  bool numbers = true;
  for (const float x : logits) numbers = numbers && x < std::numeric_limits<float>::infinity();
  check(numbers, "the model's scores are not numbers: its weights are broken");
}

std::vector<Choice> ranked(std::span<const float> logits, double temperature) {
  check_scores(logits);
  std::vector<Choice> choices(logits.size());
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    choices[i] = {static_cast<int32_t>(i), std::exp((logits[i] - largest) / temperature)};
    sum += choices[i].probability;
  }
  for (Choice& choice : choices) choice.probability /= sum;
  std::stable_sort(choices.begin(), choices.end(),
                   [](const Choice& a, const Choice& b) { return a.probability > b.probability; });
  return choices;
}

void check_sampling(const Sampling& sampling) {
  check(std::isfinite(sampling.temperature) && sampling.temperature >= 0,
        "the temperature cannot be {}; allowed: 0 or more", sampling.temperature);
  check(sampling.top_p > 0 && sampling.top_p <= 1, "top-p cannot be {}; allowed: more than 0, up to 1",
        sampling.top_p);
  check(sampling.top_k >= 0, "top-k cannot be {}; allowed: 0 (all tokens) or more", sampling.top_k);
}

bool ends_text(int32_t id, const Tokenizer& tokenizer, const Sampling& sampling) {
  return id == tokenizer.end_of_text() ||
         std::find(sampling.ends.begin(), sampling.ends.end(), id) != sampling.ends.end();
}

int32_t sample(std::span<const float> logits, const Sampling& sampling, Random& random) {
  check_scores(logits);
  if (sampling.temperature == 0)
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const double largest = *std::max_element(logits.begin(), logits.end());
  RecycledVector<float> weights(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    weights[i] = math::exp(static_cast<float>((logits[i] - largest) / sampling.temperature));
  double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  check(std::isfinite(all), "the model's scores are not numbers: its weights are broken");  // all are -inf
  // Sorting the whole vocabulary takes longer than a small model does, and is seldom needed: tokens below
  // `least` make up less than 1 - top_p, even all together.
  const bool cut = sampling.top_k > 0 && sampling.top_k < static_cast<int64_t>(weights.size());
  const double least = cut ? 0 : (1 - sampling.top_p) * all / static_cast<double>(weights.size());
  RecycledVector<Choice> choices;
  choices.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i)
    if (weights[i] >= least) choices.push_back({static_cast<int32_t>(i), weights[i]});
  const auto likelier = [](const Choice& a, const Choice& b) {  // of equals, the lower id
    return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
  };
  if (cut) {
    std::partial_sort(choices.begin(), choices.begin() + sampling.top_k, choices.end(), likelier);
    choices.resize(sampling.top_k);
    all = 0;
    for (const Choice& choice : choices) all += choice.probability;
  } else if (sampling.top_p < 1) {
    std::sort(choices.begin(), choices.end(), likelier);
  }
  // The shortest head whose share reaches top_p: at least one token.
  double kept = 0;
  size_t count = 0;
  while (count < choices.size() && (count == 0 || kept < sampling.top_p * all))
    kept += choices[count++].probability;
  double left = random.uniform() * kept;
  for (size_t i = 0; i < count; ++i)
    if ((left -= choices[i].probability) < 0) return choices[i].id;
  return choices[count - 1].id;
}

void generate(const GPT& gpt, const Tokenizer& tokenizer, std::string_view prompt, const Sampling& sampling,
              const std::function<void(int32_t id)>& token) {
  check_sampling(sampling);
  std::vector<int32_t> ids = tokenizer.encode(prompt);
  // A story begins after the end of the one before: that is what the model saw in training.
  ids.insert(ids.begin(), tokenizer.end_of_text());
  const int64_t context = gpt.config().context;
  check(context >= 2, "generate: a context of {} leaves no room for a token", context);
  Random random{sampling.seed};
  const auto keep_last = [&](int64_t count) {
    if (static_cast<int64_t>(ids.size()) > count) ids.erase(ids.begin(), ids.end() - count);
  };
  keep_last(context - 1);
  ids.reserve(context + 1);
  std::vector<int32_t> next = ids;  // what the model has not seen yet
  std::vector<float> logits(gpt.config().vocabulary);
  GPT::Caches caches = gpt.caches();
  for (int64_t made = 0; made < sampling.tokens; ++made) {
    if (caches.front().length + static_cast<int64_t>(next.size()) > context) {
      for (KeyValueCache& cache : caches) cache.length = 0;
      keep_last(std::max<int64_t>(1, context / 2));
      next = ids;
    }
    const Tensor tokens = Tensor::from(next, {1, static_cast<int64_t>(next.size())}, gpt.backend());
    gpt.next(tokens, caches).download(logits.data());
    // A model may have more rows than the tokenizer has tokens: those are never drawn.
    const int32_t id = sample(std::span(logits).first(tokenizer.vocabulary_size()), sampling, random);
    token(id);
    if (sampling.stop_at_end && ends_text(id, tokenizer, sampling)) return;
    ids.push_back(id);
    next = {id};
  }
}

std::string tell(const GPT& gpt, const Tokenizer& tokenizer, std::string_view prompt,
                 const Sampling& sampling) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  generate(gpt, tokenizer, prompt, sampling, [&](int32_t id) {
    if (!ends_text(id, tokenizer, sampling)) text += decoder.push(id);
  });
  return well_formed(text + decoder.finish());
}

}  // namespace chapbook
