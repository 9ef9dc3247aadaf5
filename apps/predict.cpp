// `./chapbook predict`: what a model thinks comes next, as a table.
#include <fmt/core.h>

#include <optional>

#include "apps/command.h"
#include "apps/run/generator.h"
#include "apps/run/xray.h"
#include "apps/weights_option.h"
#include "data/utf8.h"

namespace chapbook {

void add_predict(CLI::App& program) {
  struct Options {
    std::string run, text;
    int64_t top = 10;
    double temperature = 1;
    std::optional<bool> after_end;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *program.add_subcommand("predict", "the likeliest next tokens after a text, with their probabilities");
  command.add_option("RUN", options->run, "a run (its best model), or a model directory")->required();
  command.add_option("TEXT", options->text, "the text so far")->required();
  command.add_option("--top", options->top, "rows of the table")
      ->check(whole_number(1))
      ->capture_default_str();
  command.add_option("--temperature", options->temperature, "scores are divided by it")
      ->capture_default_str();
  command.add_option("--after-end", options->after_end,
                     "yes, no: whether <|endoftext|> is put first; else as the model was trained");
  const auto weights = add_weights_option(command);
  command.footer("Example: ./chapbook predict runs/tiny \"Once upon a\"");
  command.callback([options, weights] {
    check_after_end(options->after_end, options->text);
    check(options->temperature > 0, "the temperature cannot be {}; allowed: more than 0",
          options->temperature);
    const Model model = weights->load(options->run);
    std::vector<int32_t> ids =
        prompt_ids(model.tokenizer, options->text, options->after_end.value_or(model.after_end));
    const int64_t context = model.network->context();
    if (static_cast<int64_t>(ids.size()) > context) {
      fmt::print(stderr, "chapbook: the text has {} tokens; the model sees the last {}\n", ids.size(),
                 context);
      ids.erase(ids.begin(), ids.end() - context);
    }
    const XRay seen =
        xray(model, ids,
             {.depth = XRayOptions::Depth::next, .top = options->top, .temperature = options->temperature});
    fmt::print("{:>4} {:>7} {:>12}  {}\n", "rank", "id", "probability", "token");
    int rank = 0;
    for (const Choice& choice : seen.lens.back().back().likeliest)
      fmt::print("{:>4} {:>7} {:>12.4f}  \"{}\"\n", ++rank, choice.id, choice.probability,
                 visible(model.tokenizer.token_bytes(choice.id)));
  });
}

}  // namespace chapbook
