// `./chapbook evaluate`: what a model is worth on a text.
#include <fmt/core.h>

#include <cmath>

#include "apps/command.h"
#include "apps/report/progress.h"
#include "apps/run/evaluation.h"
#include "apps/run/model_directory.h"
#include "apps/run/weights.h"
#include "apps/weights_option.h"
#include "data/answers.h"

namespace chapbook {
namespace {

void run(const std::string& path, const std::string& data, int64_t batch, int64_t stride,
         const std::string& answer_after, const std::string& weights) {
  const Model model = load_model(path);
  const std::string chosen = choose_weights(*model.network, weights);
  const EvaluationText text = evaluation_text(data, model.tokenizer);
  const int64_t context = model.network->context();
  std::vector<bool> counted;
  if (!answer_after.empty())
    counted = answers(text.tokens, model.tokenizer.encode(answer_after), model.tokenizer.end_of_text());
  Progress progress("evaluating", 1);
  const Score score = evaluate(*model.network, text.tokens,
                               {.batch = batch,
                                .stride = stride,
                                .accuracy = true,
                                .counted = counted.empty() ? nullptr : &counted,
                                .progress = [&](int64_t done, int64_t of, const Score& so_far) {
                                  progress.update(static_cast<double>(done) / static_cast<double>(of),
                                                  fmt::format("loss {:.4f}", so_far.loss));
                                }});
  progress.finish();
  const auto share = [&](int64_t hits) {
    return 100.0 * static_cast<double>(hits) / static_cast<double>(score.targets);
  };
  fmt::print("model           {}\ntext            {}\ntokens          {}\n", model_directory(path), data,
             score.targets);
  fmt::print("weights         {}\n", chosen);
  fmt::print("windows         of {} tokens, {}\n", context,
             stride == 0 || stride == context ? "side by side" : fmt::format("{} apart", stride));
  fmt::print("loss            {:.4f} nats a token\nperplexity      {:.2f}\n", score.loss,
             std::exp(score.loss));
  if (!counted.empty())
    fmt::print("bits per byte   not of answers alone\n");
  else if (text.bytes > 0)
    fmt::print("bits per byte   {:.4f} (of {} bytes; each story's end is predicted, but is no byte)\n",
               bits_per_byte(score, static_cast<int64_t>(text.tokens.size()), text.bytes), text.bytes);
  else
    fmt::print("bits per byte   not known: the token file does not say how many bytes it stands for\n");
  fmt::print("top-1 accuracy  {:.2f} %\ntop-5 accuracy  {:.2f} %\n", share(score.top1), share(score.top5));
}

}  // namespace

void add_evaluate(CLI::App& program) {
  struct Options {
    std::string run, data, answer_after;
    int64_t batch = 8, stride = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *program.add_subcommand("evaluate", "loss, perplexity, bits per byte and accuracy on a text");
  command.add_option("RUN", options->run, "a run (its best model), or a model directory")->required();
  command
      .add_option("--data", options->data,
                  "a text file (.txt, .jsonl), a directory of them, or a token file (.bin)")
      ->required();
  command.add_option("--batch", options->batch, "sequences computed at once")
      ->check(whole_number(1, 65536))
      ->capture_default_str();
  command
      .add_option("--stride", options->stride,
                  "tokens between the beginnings of windows; below the context they overlap, and each token "
                  "has more text before it; 0: "
                  "side by side")
      ->check(whole_number(0))
      ->capture_default_str();
  command
      .add_option("--answer-after", options->answer_after,
                  "only what comes after this text in each story counts, as after Story:")
      ->type_name("TEXT");
  const auto weights = add_weights_option(command);
  command.footer("Example: ./chapbook evaluate runs/tiny --data valid.txt");
  command.callback([options, weights] {
    run(options->run, options->data, options->batch, options->stride, options->answer_after, weights->name);
  });
}

}  // namespace chapbook
