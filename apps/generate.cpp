// `./chapbook generate`: a trained model tells.
#include <fmt/core.h>

#include "apps/command.h"
#include "apps/run/generator.h"
#include "apps/run/model_directory.h"

namespace chapbook {

void add_sampling_options(CLI::App& command, Sampling& sampling) {
  command
      .add_option("--temperature", sampling.temperature,
                  "scores are divided by it; 0: always the likeliest token")
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "draw from so many tokens; 0: from all")
      ->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "draw from the likeliest tokens of this share")
      ->capture_default_str();
  command.add_option("--seed", sampling.seed, "of the draws: the same seed, the same text")
      ->capture_default_str();
}

void add_generate(CLI::App& program) {
  struct Options {
    std::string run, prompt;
    Sampling sampling;
    int64_t count = 1;
    bool past_end = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *program.add_subcommand("generate", "continue a text, or tell a story");
  command.add_option("RUN", options->run, "a run (its best model), or a model directory")->required();
  command.add_option("--prompt", options->prompt, "how the text begins; none: a new story");
  command.add_option("--tokens", options->sampling.tokens, "the most to generate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--count", options->count, "how many texts, with seeds counting up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_flag("--past-end", options->past_end, "go on after the end of a story");
  add_sampling_options(command, options->sampling);
  command.footer("Example: ./chapbook generate runs/tiny --prompt \"Once upon a time\" --temperature 0.7");
  command.callback([options] {
    check_sampling(options->sampling);  // before anything is printed
    const Model model = load_model(options->run);
    Sampling sampling = options->sampling;
    sampling.stop_at_end = !options->past_end;
    for (int64_t i = 0; i < options->count; ++i, ++sampling.seed) {
      if (i > 0) fmt::print("\n---\n\n");
      fmt::print("{}", options->prompt);
      StreamDecoder decoder(model.tokenizer);
      generate(*model.network, model.tokenizer, options->prompt, sampling, [&](int32_t id) {
        fmt::print(
            "{}", id == model.tokenizer.end_of_text() ? (options->past_end ? "\n\n" : "") : decoder.push(id));
        std::fflush(stdout);
      });
      fmt::print("{}\n", decoder.finish());
    }
  });
}

}  // namespace chapbook
