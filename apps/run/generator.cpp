#include "apps/run/generator.h"

#include <algorithm>
#include <cmath>

namespace chapbook {

std::vector<int32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view prompt, bool after_end) {
  std::vector<int32_t> ids;
  if (after_end || prompt.empty()) ids.push_back(tokenizer.end_of_text());
  tokenizer.encode_append(prompt, SpecialTokens::as_text, ids);
  return ids;
}

void check_after_end(const std::optional<bool>& after_end, std::string_view prompt) {
  check(
      after_end.value_or(true) || !prompt.empty(),
      "--after-end no: a model begins with a token, and without a text that is <|endoftext|>; leave it out");
}

void generate(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
              const Sampling& sampling, const std::function<void(int32_t id)>& token, bool after_end) {
  Continuation continuation(model, tokenizer, prompt_ids(tokenizer, prompt, after_end), sampling);
  Continuation* const alone = &continuation;
  while (continuation.end() == Continuation::End::none) {
    step(model, {&alone, 1});
    token(continuation.ids().back());
  }
}

std::string tell(const LanguageModel& model, const Tokenizer& tokenizer, std::string_view prompt,
                 const Sampling& sampling, bool after_end) {
  Continuation continuation(model, tokenizer, prompt_ids(tokenizer, prompt, after_end), sampling);
  Continuation* const alone = &continuation;
  std::string text;
  while (continuation.end() == Continuation::End::none) {
    step(model, {&alone, 1});
    text += continuation.text();
  }
  return text;
}

std::vector<Beam> beam_search(const LanguageModel& model, const Tokenizer& tokenizer,
                              const std::vector<int32_t>& prompt, int64_t beams, int64_t tokens,
                              double length_penalty, const std::vector<int32_t>& ends) {
  const int64_t V = tokenizer.vocabulary_size(), rows = model.vocabulary();
  const int64_t first = static_cast<int64_t>(prompt.size());
  check(beams > 0, "beam search: beams cannot be {}; allowed: 1 or more", beams);
  check(std::isfinite(length_penalty), "beam search: the length penalty cannot be {}", length_penalty);
  check(first > 0 && first + tokens <= model.context(),
        "beam search: {} tokens of a prompt and {} new ones do not fit the context of {}", first, tokens,
        model.context());
  struct Candidate {
    double log_probability;
    size_t parent;
    int32_t id;
  };
  std::vector<Beam> running{Beam{}}, ended;
  std::vector<LanguageModel::Caches> caches{model.caches()}, parents;  // of each running text
  std::vector<float> logits(rows * beams);
  const auto score = [&](double log_probability, size_t length) {
    return log_probability / std::pow(static_cast<double>(length), length_penalty);
  };
  const auto likelier = [](const auto& a, const auto& b) { return a.log_probability > b.log_probability; };
  const auto better = [](const Beam& a, const Beam& b) { return a.score > b.score; };

  for (int64_t made = 0; made < tokens; ++made) {
    for (size_t begin = 0; begin < running.size(); begin += LanguageModel::together) {
      const size_t count = std::min<size_t>(running.size() - begin, LanguageModel::together);
      std::vector<LanguageModel::Caches*> group;
      std::vector<int32_t> ids = made == 0 ? prompt : std::vector<int32_t>();
      for (size_t i = begin; i < begin + count; ++i) {
        group.push_back(&caches[i]);
        if (made > 0) ids.push_back(running[i].said.back());
      }
      const int64_t B = static_cast<int64_t>(count), T = static_cast<int64_t>(ids.size()) / B;
      model.next(Tensor::from(ids, {B, T}, model.backend()), group).download(&logits[begin * rows]);
    }
    // Of each text as many as all beams may need, and those that end it.
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < running.size(); ++i) {
      const LogProbabilities log_probability{std::span(logits).subspan(i * rows, V)};
      for (const auto& [id, log_p] : log_probability.likeliest(beams + 1 + static_cast<int64_t>(ends.size())))
        candidates.push_back({running[i].log_probability + log_p, i, id});
    }
    std::stable_sort(candidates.begin(), candidates.end(), likelier);
    std::vector<Beam> next;
    std::vector<size_t> parent_of;
    for (const Candidate& candidate : candidates) {
      if (static_cast<int64_t>(next.size()) == beams) break;
      Beam beam = running[candidate.parent];
      beam.log_probability = candidate.log_probability;
      beam.score = score(beam.log_probability, beam.said.size() + 1);
      if (ends_text(candidate.id, tokenizer, ends)) {
        // Of several ends of one text the likeliest, which comes first, is the one it has.
        if (std::ranges::find(ended, beam.said, &Beam::said) == ended.end()) ended.push_back(std::move(beam));
      } else {
        beam.said.push_back(candidate.id);
        next.push_back(std::move(beam));
        parent_of.push_back(candidate.parent);
      }
    }
    running = std::move(next);
    std::stable_sort(ended.begin(), ended.end(), better);
    if (static_cast<int64_t>(ended.size()) > beams) ended.resize(beams);
    if (running.empty()) break;  // every token is an end
    const double best = std::max_element(running.begin(), running.end(), [](const Beam& a, const Beam& b) {
                          return a.score < b.score;
                        })->score;
    if (static_cast<int64_t>(ended.size()) == beams && ended.back().score >= best) break;
    parents = std::exchange(caches, {});
    for (const size_t parent : parent_of) {
      caches.push_back(model.caches());
      copy(parents[parent], caches.back());
    }
  }
  ended.insert(ended.end(), running.begin(), running.end());
  std::stable_sort(ended.begin(), ended.end(), better);
  ended.resize(std::min<size_t>(ended.size(), beams));
  return ended;
}

}  // namespace chapbook
