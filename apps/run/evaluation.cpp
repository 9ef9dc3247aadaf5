#include "apps/run/evaluation.h"

#include <numbers>

#include "data/loader.h"
#include "data/split.h"
#include "data/token_file.h"

namespace chapbook {

// Counts the targets that are the likeliest, or among the five likeliest, by the model's logits (rows, V).
static void count_hits(std::span<const float> logits, std::span<const int32_t> targets, int64_t vocabulary,
                       Score& score) {
  for (size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] == ignored_target) continue;
    const float* x = logits.data() + static_cast<int64_t>(row) * vocabulary;
    const float wanted = x[targets[row]];
    // Of equals, the lower id counts as likelier.
    int64_t ahead = 0;
    for (int64_t j = 0; j < vocabulary; ++j) ahead += x[j] > wanted || (x[j] == wanted && j < targets[row]);
    score.top1 += ahead < 1;
    score.top5 += ahead < 5;
  }
}

Score evaluate(const LanguageModel& model, std::span<const uint16_t> tokens,
               const EvaluationOptions& options) {
  NoGrad no_grad;
  const int64_t context = model.context();
  const EvaluationLoader loader(tokens, options.batch, context, options.stride);
  const int64_t batches =
      options.batches == 0 ? loader.batches() : std::min(options.batches, loader.batches());
  const Shape shape{options.batch, context};
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
      count_hits(logits.to_vector<float>(), wanted, model.vocabulary(), score);
    } else {
      sum += model.loss(inputs, targets).value().item() * static_cast<double>(counted);
    }
    score.targets += counted;
    score.loss = sum / static_cast<double>(score.targets);
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
    for (int32_t id : tokenizer.encode(story)) text.tokens.push_back(static_cast<uint16_t>(id));
    if (ends_story) text.tokens.push_back(static_cast<uint16_t>(tokenizer.end_of_text()));
    text.bytes += static_cast<int64_t>(story.size());
  });
  return text;
}

}  // namespace chapbook
