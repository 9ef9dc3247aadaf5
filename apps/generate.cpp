// `./chapbook generate`: a trained model tells.
#include <fmt/core.h>

#include "apps/command.h"
#include "apps/run/generator.h"
#include "apps/run/model_directory.h"
#include "data/utf8.h"

namespace chapbook {

void add_sampling_options(CLI::App& command, Sampling& sampling) {
  command
      .add_option("--temperature", sampling.temperature,
                  "scores are divided by it; 0: always the likeliest token")
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "draw from so many tokens; 0: from all")
      ->check(whole_number(0))
      ->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "draw from the likeliest tokens of this share")
      ->capture_default_str();
  command.add_option("--seed", sampling.seed, "of the draws: the same seed, the same text")
      ->check(whole_number(0))
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
      ->check(whole_number(1))
      ->capture_default_str();
  command.add_option("--count", options->count, "how many texts, with seeds counting up")
      ->check(whole_number(1))
      ->capture_default_str();
  command.add_flag("--past-end", options->past_end, "go on after the end of a story");
  add_sampling_options(command, options->sampling);
  command.footer("Example: ./chapbook generate runs/tiny --prompt \"Once upon a time\" --temperature 0.7");
  command.callback([options] {
    check_sampling(options->sampling);  // before anything is printed
    const Model model = load_model(options->run);
    Sampling sampling = options->sampling;
    sampling.stop_at_end = !options->past_end;
    sampling.ends = model.ends;
    const std::string& prompt = options->prompt;
    const int64_t tokens = static_cast<int64_t>(model.tokenizer.encode(prompt).size()) + 1;
    const int64_t seen = model.network->context() - 1;  // and the token that comes
    if (tokens > seen)
      fmt::print(stderr, "chapbook: the prompt has {} tokens; the model sees the last {}\n", tokens, seen);
    for (int64_t i = 0; i < options->count; ++i, ++sampling.seed) {
      if (i > 0) fmt::print("\n---\n\n");
      // The prompt may end inside a character, and so may the text.
      const std::string_view shown = std::string_view(prompt).substr(0, complete_utf8(prompt));
      fmt::print("{}", well_formed(shown));
      StreamDecoder decoder(model.tokenizer, std::string_view(prompt).substr(shown.size()));
      generate(*model.network, model.tokenizer, prompt, sampling, [&](int32_t id) {
        if (ends_text(id, model.tokenizer, sampling))
          fmt::print("{}", options->past_end ? "\n\n" : "");
        else
          fmt::print("{}", well_formed(decoder.push(id)));
        std::fflush(stdout);
      });
      fmt::print("{}\n", well_formed(decoder.finish()));
    }
  });
}

}  // namespace chapbook
