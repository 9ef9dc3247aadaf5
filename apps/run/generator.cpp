#include "apps/run/generator.h"

#include <algorithm>

#include "data/utf8.h"

namespace chapbook {

bool ends_text(int32_t id, const Tokenizer& tokenizer, const Sampling& sampling) {
  return id == tokenizer.end_of_text() ||
         std::find(sampling.ends.begin(), sampling.ends.end(), id) != sampling.ends.end();
}

void generate(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
              const Sampling& sampling, const std::function<void(int32_t id)>& token) {
  check_sampling(sampling);
  std::vector<int32_t> ids = tokenizer.encode(prompt);
  // A story begins after the end of the one before: that is what the model saw in training.
  ids.insert(ids.begin(), tokenizer.end_of_text());
  const int64_t context = model.context();
  check(context >= 2, "generate: a context of {} leaves no room for a token", context);
  Random random{sampling.seed};
  const auto keep_last = [&](int64_t count) {
    if (static_cast<int64_t>(ids.size()) > count) ids.erase(ids.begin(), ids.end() - count);
  };
  keep_last(context - 1);
  ids.reserve(context + 1);
  std::vector<int32_t> next = ids;  // what the model has not seen yet
  std::vector<float> logits(model.vocabulary());
  LanguageModel::Caches caches = model.caches();
  for (int64_t made = 0; made < sampling.tokens; ++made) {
    if (caches.front().length + static_cast<int64_t>(next.size()) > context) {
      for (KeyValueCache& cache : caches) cache.length = 0;
      keep_last(std::max<int64_t>(1, context / 2));
      next = ids;
    }
    const Tensor tokens = Tensor::from(next, {1, static_cast<int64_t>(next.size())}, model.backend());
    model.next(tokens, caches).download(logits.data());
    // A model may have more rows than the tokenizer has tokens: those are never drawn.
    const int32_t id = sample(std::span(logits).first(tokenizer.vocabulary_size()), sampling, random);
    token(id);
    if (sampling.stop_at_end && ends_text(id, tokenizer, sampling)) return;
    ids.push_back(id);
    next = {id};
  }
}

std::string tell(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
                 const Sampling& sampling) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  generate(model, tokenizer, prompt, sampling, [&](int32_t id) {
    if (!ends_text(id, tokenizer, sampling)) text += decoder.push(id);
  });
  return well_formed(text + decoder.finish());
}

}  // namespace chapbook
