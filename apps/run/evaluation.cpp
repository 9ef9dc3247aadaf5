#include "apps/run/evaluation.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>

#include "data/loader.h"
#include "data/split.h"
#include "data/token_file.h"
#include "tensor/cpu/thread_pool.h"

namespace chapbook {

// Counts the targets that are the likeliest, or among the five likeliest, by the logits (rows, V).
static void count_hits(const Tensor& logits, std::span<const int32_t> targets, Score& score) {
  constexpr int64_t rows_at_once = 64;  // brought to the host
  const int64_t vocabulary = logits.size(-1);
  std::atomic<int64_t> top1 = 0, top5 = 0;
  for (int64_t first = 0; first < logits.size(0); first += rows_at_once) {
    const int64_t last = std::min(logits.size(0), first + rows_at_once);
    const std::vector<float> some = logits.slice(0, first, last).to_vector<float>();
    parallel_for(last - first, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int32_t target = targets[first + row];
        if (target == ignored_target) continue;
        const float* x = some.data() + row * vocabulary;
        const float wanted = x[target];
        int64_t ahead = 0;  // of equals, the lower id counts as likelier
        for (int64_t j = 0; j < target; ++j) ahead += x[j] >= wanted;
        for (int64_t j = target + 1; j < vocabulary; ++j) ahead += x[j] > wanted;
        top1 += ahead < 1;
        top5 += ahead < 5;
      }
    });
  }
  score.top1 += top1;
  score.top5 += top5;
}

// How many windows are computed at once. Where logits are made, they take 64 MB at most, or one window does
// what it must.
static int64_t windows_at_once(const LanguageModel& model, const EvaluationOptions& options) {
  constexpr int64_t most_logits = 16 << 20;
  if (!options.accuracy) return options.batch;
  return std::clamp<int64_t>(most_logits / (model.context() * model.vocabulary()), 1, options.batch);
}

Score evaluate(const LanguageModel& model, TokenIds tokens, const EvaluationOptions& options) {
  NoGrad no_grad;
  const int64_t context = model.context(), batch = windows_at_once(model, options);
  const EvaluationLoader loader(tokens, batch, context, options.stride, options.counted);
  const int64_t batches =
      options.batches == 0 ? loader.batches() : std::min(options.batches, loader.batches());
  const Shape shape{batch, context};
  std::vector<int32_t> numbers(shape.count()), wanted(shape.count());
  Score score;
  double sum = 0;
  for (int64_t i = 0; i < batches; ++i) {
    const int64_t counted = loader.batch(i, numbers, wanted);
    const Tensor inputs = Tensor::from(numbers, shape, model.backend()),
                 targets = Tensor::from(wanted, shape, model.backend());
    if (options.accuracy) {
      const Tensor logits = model(inputs).value();
      sum += cross_entropy(logits, targets).loss.item() * static_cast<double>(counted);
      count_hits(logits.reshape({shape.count(), logits.size(-1)}), wanted, score);
    } else {
      sum += model.loss(inputs, targets).value().item() * static_cast<double>(counted);
    }
    check(std::isfinite(sum), "the model's loss is {}: its weights are broken", sum);
    score.targets += counted;
    score.loss = sum / static_cast<double>(std::max<int64_t>(1, score.targets));
    if (options.progress) options.progress(i + 1, batches, score);
  }
  return score;
}

double bits_per_byte(const Score& score, int64_t tokens, int64_t text_bytes) {
  return score.loss / std::numbers::ln2 * static_cast<double>(tokens) / static_cast<double>(text_bytes);
}

EvaluationText evaluation_text(const std::string& path, const Tokenizer& tokenizer) {
  EvaluationText text;
  if (path.ends_with(".bin")) {
    const TokenFile file = TokenFile::open(path, tokenizer.vocabulary_size());
    check_same_tokenizer(file, tokenizer.hash());
    text.tokens.assign(file.tokens().begin(), file.tokens().end());
    text.bytes = file.info().text_bytes;
    return text;
  }
  read_stories(path, [&](std::string_view story, bool ends_story) {
    tokenizer.encode_append(story, SpecialTokens::as_text, text.tokens);
    if (ends_story) text.tokens.push_back(tokenizer.end_of_text());
    text.bytes += static_cast<int64_t>(story.size());
  });
  return text;
}

}  // namespace chapbook
