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
        // Written so that what is no number is a miss.
        for (int64_t j = 0; j < target; ++j) ahead += !(x[j] < wanted);
        for (int64_t j = target + 1; j < vocabulary; ++j) ahead += !(x[j] <= wanted);
        top1 += ahead < 1;
        top5 += ahead < 5;
      }
    });
  }
  score.top1 += top1;
  score.top5 += top5;
}

// The sum of the loss over all targets of a batch, whose hits are counted on the way.
static double loss_and_hits(const LanguageModel& model, const Tensor& tokens,
                            std::span<const int32_t> targets, Score& score) {
  double sum = 0;
  model.each_logits(tokens, [&](int64_t first, const Tensor& logits) {
    const std::span<const int32_t> wanted = targets.subspan(first, logits.size(0));
    const Tensor ids = Tensor::from(wanted, {logits.size(0)}, model.backend());
    const int64_t ignored = std::count(wanted.begin(), wanted.end(), ignored_target);
    sum += cross_entropy(logits, ids).loss.item() * static_cast<double>(logits.size(0) - ignored);
    count_hits(logits, wanted, score);
  });
  return sum;
}

Score evaluate(const LanguageModel& model, TokenIds tokens, const EvaluationOptions& options) {
  NoGrad no_grad;
  const int64_t context = model.context();
  const EvaluationLoader loader(tokens, options.batch, context, options.stride, options.counted);
  const Shape shape{options.batch, context};
  std::vector<int32_t> numbers(shape.count()), wanted(shape.count());
  std::vector<int64_t> looked_at;  // batches, of which those without a target that counts say nothing
  for (int64_t i = 0; i < loader.batches(); ++i) {
    if (options.batches > 0 && std::ssize(looked_at) == options.batches) break;
    if (!options.counted || loader.batch(i, numbers, wanted) > 0) looked_at.push_back(i);
  }
  const int64_t batches = std::ssize(looked_at);
  const auto score_of = [&](int64_t i) {  // of one batch; its loss is a sum
    Score score;
    const int64_t counted = loader.batch(looked_at[i], numbers, wanted);
    const Tensor inputs = Tensor::from(numbers, shape, model.backend());
    if (options.accuracy)
      score.loss = loss_and_hits(model, inputs, wanted, score);
    else
      score.loss = model.loss(inputs, Tensor::from(wanted, shape, model.backend())).value().item() *
                   static_cast<double>(counted);
    score.targets = counted;
    return score;
  };
  Score score;
  double sum = 0;
  Team& team = *options.team;
  for (int64_t i = 0; i < batches; i += team.size()) {
    const Score mine = i + team.rank() < batches ? score_of(i + team.rank()) : Score{};
    for (const Score& each : gather(team, mine)) {
      sum += each.loss;
      score.targets += each.targets, score.top1 += each.top1, score.top5 += each.top5;
    }
    check(std::isfinite(sum), "the model's loss is {}: its weights are broken", sum);
    score.loss = sum / static_cast<double>(std::max<int64_t>(1, score.targets));
    if (options.progress) options.progress(std::min(i + team.size(), batches), batches, score);
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
