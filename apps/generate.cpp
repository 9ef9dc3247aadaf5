// `./chapbook generate`: a trained model tells.
#include <fmt/core.h>

#include <optional>

#include "apps/command.h"
#include "apps/run/generator.h"
#include "apps/weights_option.h"
#include "data/utf8.h"

namespace chapbook {

namespace {

struct GenerateOptions {
  std::string run, prompt;
  Sampling sampling;
  std::vector<std::string> bias;
  std::optional<bool> after_end;
  int64_t count = 1, beams = 0;
  double length_penalty = 1;
  bool past_end = false;
};

constexpr const char* sampling_group = "Sampling, in this order";

void add_sampling_options(CLI::App& command, GenerateOptions& options) {
  Sampling& s = options.sampling;
  const auto add = [&](const char* name, auto& value, const char* help) {
    return command.add_option(name, value, help)->capture_default_str()->group(sampling_group);
  };
  command.add_option("--bias", options.bias, "ID=NUMBER: added to the score of a token; again for more")
      ->group(sampling_group);
  add("--repetition-penalty", s.repetition_penalty,
      "scores of tokens in the text so far: positive ones are divided by it, negative ones multiplied");
  add("--frequency-penalty", s.frequency_penalty, "taken from a token's score for each time it was said");
  add("--presence-penalty", s.presence_penalty, "taken from a token's score if it was said");
  add("--temperature", s.temperature, "scores are divided by it; 0: always the likeliest token");
  add("--top-k", s.top_k, "draw from so many tokens; 0: from all")->check(whole_number(0));
  add("--top-p", s.top_p, "draw from the likeliest tokens of this share");
  add("--min-p", s.min_p, "and from none that is less likely than this share of the likeliest");
  add("--seed", s.seed, "of the draws: the same seed, the same text")->check(whole_number(0));
}

std::vector<TokenBias> parsed_biases(const std::vector<std::string>& texts) {
  std::vector<TokenBias> biases;
  for (const std::string& text : texts) {
    int id = 0, end = 0;
    double bias = 0;
    const bool read = std::sscanf(text.c_str(), "%d=%lf%n", &id, &bias, &end) == 2;
    check(read && end == static_cast<int>(text.size()), "--bias takes ID=NUMBER, not '{}'", text);
    biases.push_back({id, bias});
  }
  return biases;
}

// Texts with seeds counting up, computed together; the first is shown while it comes, each other when those
// before it are done.
void tell_all(const Model& model, const GenerateOptions& options, const std::vector<int32_t>& prompt) {
  std::vector<std::unique_ptr<Continuation>> texts;
  std::vector<Continuation*> all;
  std::vector<std::string> unshown(options.count);
  Sampling sampling = options.sampling;
  for (int64_t i = 0; i < options.count; ++i, ++sampling.seed) {
    texts.push_back(std::make_unique<Continuation>(*model.network, model.tokenizer, prompt, sampling));
    all.push_back(texts.back().get());
  }
  int64_t shown = 0;
  fmt::print("{}", options.prompt);
  while (shown < options.count) {
    std::vector<Continuation*> going;
    for (Continuation* text : all)
      if (text->end() == Continuation::End::none) going.push_back(text);
    step(*model.network, going);
    for (int64_t i = 0; i < options.count; ++i)
      if (std::ranges::find(going, all[i]) != going.end()) {
        const bool ended = ends_text(all[i]->ids().back(), model.tokenizer, options.sampling.ends);
        unshown[i] += ended && options.past_end ? "\n\n" : all[i]->text();
      }
    for (;;) {
      fmt::print("{}", std::exchange(unshown[shown], ""));
      if (all[shown]->end() == Continuation::End::none) break;
      fmt::print("\n");
      if (++shown == options.count) break;
      fmt::print("\n---\n\n{}", options.prompt);
    }
    std::fflush(stdout);
  }
}

void tell_likeliest(const Model& model, const GenerateOptions& options, const std::vector<int32_t>& prompt) {
  check(options.count <= options.beams, "--count {} asks for more texts than --beams {}", options.count,
        options.beams);
  const auto beams = beam_search(*model.network, model.tokenizer, prompt, options.beams,
                                 options.sampling.tokens, options.length_penalty, options.sampling.ends);
  for (int64_t i = 0; i < std::min<int64_t>(options.count, beams.size()); ++i)
    fmt::print("{}{}{}\n", i > 0 ? "\n---\n\n" : "", options.prompt,
               well_formed(model.tokenizer.decode(beams[i].said)));
}

}  // namespace

void add_generate(CLI::App& program) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App& command = *program.add_subcommand("generate", "continue a text, or tell a story");
  command.add_option("RUN", options->run, "a run (its best model), or a model directory")->required();
  command.add_option("--prompt", options->prompt, "how the text begins; none: a new story");
  command.add_option("--tokens", options->sampling.tokens, "the most to generate")
      ->check(whole_number(1))
      ->capture_default_str();
  command.add_option("--count", options->count, "how many texts, with seeds counting up")
      ->check(whole_number(1))
      ->capture_default_str();
  CLI::Option* const stop =
      command.add_option("--stop", options->sampling.stop, "end before this text; again for more");
  CLI::Option* const past_end =
      command.add_flag("--past-end", options->past_end, "go on after the end of a story");
  command.add_option("--after-end", options->after_end,
                     "yes, no: whether <|endoftext|> is put first; else as the model was trained");
  const auto weights = add_weights_option(command);
  add_sampling_options(command, *options);
  CLI::Option* const beams =
      command
          .add_option("--beams", options->beams, "search for the likeliest text with so many, without chance")
          ->check(whole_number(1))
          ->group("Beam search");
  // What the search does not do.
  beams->excludes(stop)->excludes(past_end);
  for (CLI::Option* const option : command.get_options())
    if (option->get_group() == sampling_group) beams->excludes(option);
  command
      .add_option("--length-penalty", options->length_penalty,
                  "log-probabilities are divided by length to this power")
      ->capture_default_str()
      ->needs(beams)
      ->group("Beam search");
  command.footer(
      "Examples: ./chapbook generate runs/tiny --prompt \"Once upon a time\" --temperature 0.7\n"
      "          ./chapbook generate runs/tiny --prompt \"The dog\" --count 4 --min-p 0.1 --top-p 1 --stop "
      "\".\"\n"
      "          ./chapbook generate runs/tiny --prompt \"The dog\" --beams 4 --tokens 60");
  command.callback([options, weights] {
    check_after_end(options->after_end, options->prompt);
    options->sampling.logit_bias = parsed_biases(options->bias);
    options->sampling.stop_at_end = !options->past_end;
    check_sampling(options->sampling);  // before anything is printed
    const Model model = weights->load(options->run);
    options->sampling.ends = model.ends;
    const std::vector<int32_t> prompt =
        prompt_ids(model.tokenizer, options->prompt, options->after_end.value_or(model.after_end));
    const int64_t tokens = static_cast<int64_t>(prompt.size()), seen = model.network->context() - 1;
    if (tokens > seen)
      fmt::print(stderr, "chapbook: the prompt has {} tokens; the model sees the last {}\n", tokens, seen);
    // It may end inside a character, which then comes with what follows.
    options->prompt =
        well_formed(std::string_view(options->prompt).substr(0, complete_utf8(options->prompt)));
    (options->beams > 0 ? tell_likeliest : tell_all)(model, *options, prompt);
  });
}

}  // namespace chapbook
