// `./chapbook evaluate`: what a model is worth on a text.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/command.h"
#include "apps/model_directory.h"
#include "apps/prepare.h"
#include "apps/progress.h"
#include "apps/trainer.h"

namespace chapbook {
namespace {

struct Accuracy {
  int64_t top1 = 0, top5 = 0;
};

// Counts the targets that are the likeliest, or among the five likeliest, by the model's logits (rows, V).
void count_hits(std::span<const float> logits, std::span<const int32_t> targets, int64_t vocabulary,
                Accuracy& accuracy) {
  for (size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] == ignored_target) continue;
    const float* x = logits.data() + static_cast<int64_t>(row) * vocabulary;
    const float score = x[targets[row]];
    // Of equals, the lower id counts as likelier.
    int64_t ahead = 0;
    for (int64_t j = 0; j < vocabulary; ++j) ahead += x[j] > score || (x[j] == score && j < targets[row]);
    accuracy.top1 += ahead < 1;
    accuracy.top5 += ahead < 5;
  }
}

// The tokens of a text or token file, and the bytes they stand for (0: not known).
struct EvaluationText {
  std::vector<uint16_t> tokens;
  int64_t bytes = 0;
};

EvaluationText read_text(const std::string& path, const Tokenizer& tokenizer) {
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

void run(const std::string& path, const std::string& data, int64_t batch, int64_t stride) {
  const Model model = load_model(path);
  const EvaluationText text = read_text(data, model.tokenizer);
  const int64_t context = model.gpt->config().context, vocabulary = model.gpt->config().vocabulary;
  const EvaluationLoader loader(text.tokens, batch, context, stride);
  std::vector<int32_t> inputs(batch * context), targets(batch * context);
  NoGrad no_grad;
  Score score;
  Accuracy accuracy;
  Progress progress("evaluating", static_cast<double>(loader.batches()));
  for (int64_t i = 0; i < loader.batches(); ++i) {
    const int64_t counted = loader.batch(i, inputs, targets);
    const Tensor logits = (*model.gpt)(Tensor::from(inputs, {batch, context}, model.gpt->backend())).value();
    const Tensor wanted = Tensor::from(targets, {batch, context}, model.gpt->backend());
    score.loss += cross_entropy(logits, wanted).loss.item() * static_cast<double>(counted);
    score.targets += counted;
    count_hits(logits.to_vector<float>(), targets, vocabulary, accuracy);
    progress.update(static_cast<double>(i + 1),
                    fmt::format("loss {:.4f}", score.loss / static_cast<double>(score.targets)));
  }
  progress.finish();
  score.loss /= static_cast<double>(score.targets);
  const auto share = [&](int64_t hits) {
    return 100.0 * static_cast<double>(hits) / static_cast<double>(score.targets);
  };
  fmt::print("model           {}\ntext            {}\ntokens          {}\n", model_directory(path), data,
             score.targets);
  fmt::print("windows         of {} tokens, {}\n", context,
             stride == 0 || stride == context ? "side by side" : fmt::format("{} apart", stride));
  fmt::print("loss            {:.4f} nats a token\nperplexity      {:.2f}\n", score.loss,
             std::exp(score.loss));
  if (text.bytes > 0)
    fmt::print("bits per byte   {:.4f} (of {} bytes; each story's end is predicted, but is no byte)\n",
               bits_per_byte(score, static_cast<int64_t>(text.tokens.size()), text.bytes), text.bytes);
  else
    fmt::print("bits per byte   not known: the token file does not say how many bytes it stands for\n");
  fmt::print("top-1 accuracy  {:.2f} %\ntop-5 accuracy  {:.2f} %\n", share(accuracy.top1),
             share(accuracy.top5));
}

}  // namespace

void add_evaluate(CLI::App& program) {
  struct Options {
    std::string run, data;
    int64_t batch = 8, stride = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *program.add_subcommand("evaluate", "loss, perplexity, bits per byte and accuracy on a text");
  command.add_option("RUN", options->run, "a run (its best model), or a model directory")->required();
  command
      .add_option("--data", options->data, "a text file, a directory of .txt files, or a token file (.bin)")
      ->required();
  command.add_option("--batch", options->batch, "sequences computed at once")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command
      .add_option("--stride", options->stride,
                  "tokens between the beginnings of windows; below the context they overlap, and each token "
                  "has more text before it; 0: "
                  "side by side")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.footer("Example: ./chapbook evaluate runs/tiny --data valid.txt");
  command.callback([options] { run(options->run, options->data, options->batch, options->stride); });
}

}  // namespace chapbook
