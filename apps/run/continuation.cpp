#include "apps/run/continuation.h"

#include <algorithm>

#include "data/utf8.h"
#include "tensor/cpu/thread_pool.h"

namespace chapbook {

// The bytes of a character that the prompt begins and does not end.
static std::string begun(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::string bytes;
  for (const int32_t id : ids.last(std::min<size_t>(ids.size(), 4)))
    if (id >= 0 && id < tokenizer.vocabulary_size()) bytes += tokenizer.token_bytes(id);
  return bytes.substr(complete_utf8(bytes));
}

Continuation::Continuation(const LanguageModel& model, const Tokenizer& tokenizer,
                           std::vector<int32_t> prompt, const Sampling& sampling, int64_t alternatives)
    : tokenizer_(&tokenizer),
      sampling_(sampling),
      ids_(std::move(prompt)),
      prompt_(static_cast<int64_t>(ids_.size())),
      context_(model.context()),
      alternatives_(alternatives),
      window_(std::max<int64_t>(0, prompt_ - (context_ - 1))),
      caches_(model.caches()),
      random_{sampling.seed},
      stop_text_(tokenizer, begun(tokenizer, ids_), sampling.stop) {
  check_sampling(sampling);
  check(context_ >= 2, "generate: a context of {} leaves no room for a token", context_);
  check(prompt_ > 0, "generate: the prompt has no tokens");
  for (const int32_t id : ids_)
    check(id >= 0 && id < tokenizer.vocabulary_size(), "generate: there is no token {}", id);
  if (sampling.tokens == 0) end_ = End::length;
  ids_.reserve(prompt_ + std::min<int64_t>(sampling.tokens, 4096));
}

bool ends_text(int32_t id, const Tokenizer& tokenizer, const std::vector<int32_t>& ends) {
  return id == tokenizer.end_of_text() || std::ranges::find(ends, id) != ends.end();
}

std::span<const int32_t> Continuation::unseen() {
  const int64_t count = static_cast<int64_t>(ids_.size());
  if (count - window_ > context_) {
    window_ = count - std::max<int64_t>(1, context_ / 2);
    for (KeyValueCache& cache : caches_) cache.length = 0;
  }
  return ids().subspan(window_ + caches_.front().length);
}

void Continuation::say(std::span<float> logits) {
  // A model may have more rows than the tokenizer has tokens: those are never drawn.
  const std::span<float> scores = logits.first(tokenizer_->vocabulary_size());
  RecycledVector<float> as_they_are;
  if (alternatives_ >= 0) as_they_are.assign(scores.begin(), scores.end());
  adjust(scores, sampling_, ids_, prompt_);
  const int32_t id = sample(scores, sampling_, random_);
  if (alternatives_ >= 0) {
    const LogProbabilities log_probability(as_they_are);
    log_probability_ = log_probability(id);
    likeliest_ = log_probability.likeliest(alternatives_);
  }
  ids_.push_back(id);
  const bool ended = sampling_.stop_at_end && ends_text(id, *tokenizer_, sampling_.ends);
  text_ = ended ? "" : stop_text_.push(id);
  if (stop_text_.stopped() || ended)
    end_ = End::stop;
  else if (static_cast<int64_t>(said().size()) >= sampling_.tokens)
    end_ = End::length;
  if (end_ != End::none) text_ += stop_text_.finish();
}

void copy(const LanguageModel::Caches& from, LanguageModel::Caches& to) {
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t length = to[i].length = from[i].length;
    const auto filled = [&](const Tensor& x) { return x.view().slice(2, 0, length); };
    Backend& backend = from[i].keys.backend();
    backend.copy(filled(from[i].keys), filled(to[i].keys));
    backend.copy(filled(from[i].values), filled(to[i].values));
  }
}

void step(const LanguageModel& model, std::span<Continuation* const> all) {
  const int64_t V = model.vocabulary();
  RecycledVector<Continuation*> one_more, whole;  // by what the model has yet to see of them
  for (Continuation* text : all)
    if (text->end_ == Continuation::End::none)
      (text->unseen().size() == 1 ? one_more : whole).push_back(text);

  const size_t most = std::min<size_t>(one_more.size(), LanguageModel::together);  // of one_more, at once
  RecycledVector<float> logits(V * std::max(most, whole.size()));
  const auto compute = [&](std::span<Continuation* const> some, std::span<const int32_t> ids, float* to) {
    RecycledVector<LanguageModel::Caches*> caches;
    for (Continuation* text : some) caches.push_back(&text->caches_);
    const int64_t B = static_cast<int64_t>(some.size()), T = static_cast<int64_t>(ids.size()) / B;
    model.next(Tensor::from<int32_t>(ids, {B, T}, model.backend()), caches).download(to);
  };
  const auto row = [&](size_t i) { return std::span(logits).subspan(i * V, V); };

  RecycledVector<std::span<const int32_t>> seen;
  for (size_t i = 0; i < whole.size(); ++i) {
    seen.push_back(whole[i]->unseen());
    const auto same = [&](const auto& ids) { return std::ranges::equal(ids, seen[i]); };
    const size_t first = std::find_if(seen.begin(), seen.end(), same) - seen.begin();
    if (first < i && whole[i]->caches_.front().length == 0) {
      copy(whole[first]->caches_, whole[i]->caches_);
      std::ranges::copy(row(first), row(i).begin());
    } else {
      compute({&whole[i], 1}, seen[i], row(i).data());
    }
  }
  const auto say = [&](std::span<Continuation* const> some) {
    parallel_for(static_cast<int64_t>(some.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) some[i]->say(row(i));
    });
  };
  say(whole);

  for (size_t begin = 0; begin < one_more.size(); begin += most) {
    const auto some = std::span(one_more).subspan(begin);
    const auto group = some.first(std::min(some.size(), most));
    RecycledVector<int32_t> ids;
    for (Continuation* text : group) ids.push_back(text->ids_.back());
    compute(group, ids, logits.data());
    say(group);
  }
}

}  // namespace chapbook
