// `./chapbook xray`: what a model does with a text, as one HTML file that opens in a browser; and what each
// of its parts is worth, as a table.
#include <fmt/core.h>

#include <cmath>
#include <optional>

#include "apps/command.h"
#include "apps/run/evaluation.h"
#include "apps/run/generator.h"
#include "apps/serve/xray_view.h"
#include "tensor/files.h"
#include "tensor/profile/profile_backend.h"

namespace chapbook {
namespace {

struct XRayArguments {
  std::string run, text, file, out = "xray.html", from;
  std::vector<std::string> off, patch;
  int64_t top = 5;
  bool table = false, no_back = false;
  std::optional<bool> after_end;
};

// What is looked at. A file is read as evaluate does: stories, each with its end.
EvaluationText text_of(const XRayArguments& options, const Tokenizer& tokenizer, bool after_end) {
  check(options.text.empty() != options.file.empty(), "xray: give --text or --file, one of them");
  if (options.file.empty())
    return {prompt_ids(tokenizer, options.text, after_end), static_cast<int64_t>(options.text.size())};
  EvaluationText text = evaluation_text(options.file, tokenizer);
  if (after_end) text.tokens.insert(text.tokens.begin(), tokenizer.end_of_text());
  return text;
}

std::vector<Cut> cuts_of(const XRayArguments& options, const Anatomy& anatomy) {
  std::vector<Cut> cuts;
  for (const std::string& text : options.off) cuts.push_back(read_cut(text, anatomy));
  for (const std::string& text : options.patch) cuts.push_back(read_cut(text, anatomy, true));
  check(options.patch.empty() || !options.from.empty(),
        "--patch needs --from, the text that it patches from");
  return cuts;
}

// While it lives, kernels are counted, so that each op says what it cost.
struct Counted {
  Backend& before = default_backend();
  ProfileBackend backend{before};
  Counted() { set_default_backend(backend); }
  ~Counted() { set_default_backend(before); }
};

// One file with all of it.
void write_page(const XRayArguments& options) {
  Counted counted;
  const Model model = load_model(options.run);
  const bool after_end = options.after_end.value_or(model.after_end);
  std::vector<int32_t> ids = text_of(options, model.tokenizer, after_end).tokens;
  const int64_t context = model.network->context();
  if (static_cast<int64_t>(ids.size()) > context) {
    fmt::print(stderr,
               "chapbook: the text has {} tokens; the x-ray is of the first {}, all that the model sees\n",
               ids.size(), context);
    ids.resize(context);
  }
  const int64_t T = static_cast<int64_t>(ids.size());
  XRayOptions how{.top = options.top, .cuts = cuts_of(options, anatomy(*model.network))};
  if (!options.patch.empty())
    how.other = named_values(*model.network, prompt_ids(model.tokenizer, options.from, after_end));
  const XRay seen = xray(model, ids, how);
  std::optional<XRay> whole;
  if (!how.cuts.empty()) whole = xray(model, ids, {.depth = XRayOptions::Depth::each});
  Json data = xray_json(seen, model, how.cuts, whole ? &*whole : nullptr);
  data["model"] = options.run;
  data["back"] = Json::object();
  if (!options.no_back) {
    for (int64_t place = 1; place < T; ++place) {
      data["back"][std::to_string(place)] = way_back_json(way_back(model, ids, place, how));
      counted.backend.take_calls();  // nobody asks for these
    }
  }
  const std::string page = xray_page(data);
  write_file(options.out, page);
  fmt::print("{} tokens, loss {:.4f} nats per token, {:.4f} bits per byte", T, seen.loss(),
             seen.bits_per_byte());
  if (whole) fmt::print("; whole: {:.4f}, {:.4f}", whole->loss(), whole->bits_per_byte());
  fmt::print("\n{} ({:.1f} MB): open it in a browser\n", options.out, static_cast<double>(page.size()) / 1e6);
}

// Every part switched off, one after another, by how much each is missed.
void print_table(const XRayArguments& options) {
  const Model model = load_model(options.run);
  const Anatomy there = anatomy(*model.network);
  std::vector<Cut> parts;
  for (const std::string& part : options.off) parts.push_back(read_cut(part, there));
  if (parts.empty()) parts = all_parts(there);
  // The loss on a file is that of evaluate, unless told.
  const bool after_end = options.after_end.value_or(options.file.empty() && model.after_end);
  const EvaluationText text = text_of(options, model.tokenizer, after_end);
  // The end of text that a text is put after is given, and not predicted.
  const int64_t tokens = static_cast<int64_t>(text.tokens.size()) - after_end;
  const double whole = evaluate(*model.network, text.tokens).loss;
  // Bits per byte and nats per token differ by a factor, which the text decides.
  const double factor = text.bytes > 0 ? bits_per_byte({.loss = 1}, tokens, text.bytes) : NAN;
  const std::vector<Worth> worths = losses_without(*model.network, text.tokens, parts);
  fmt::print("{:<14} {:>10} {:>10} {:>14}\n", "off", "loss", "more", "bits per byte");
  fmt::print("{:<14} {:>10.4f} {:>10} {:>14.4f}\n", "nothing", whole, "", whole * factor);
  for (const auto& [part, loss] : worths)
    fmt::print("{:<14} {:>10.4f} {:>+10.4f} {:>14.4f}\n", part.text(), loss, loss - whole, loss * factor);
}

}  // namespace

void add_xray(CLI::App& program) {
  auto options = std::make_shared<XRayArguments>();
  CLI::App& command = *program.add_subcommand(
      "xray", "inside a model, with a text of yours: a page, or a table of its parts");
  command.add_option("RUN", options->run, "a run (its best model), or a model directory")->required();
  CLI::Option* const text = command.add_option("--text", options->text, "the text to look at");
  command.add_option("--file", options->file, "or a file with it (.txt, .jsonl), or a token file (.bin)")
      ->excludes(text);
  CLI::Option* const out =
      command.add_option("--out", options->out, "the page, one HTML file")->capture_default_str();
  CLI::Option* const top = command.add_option("--top", options->top, "alternatives of each token")
                               ->check(whole_number(1, 100))
                               ->capture_default_str();
  command.add_option(
      "--off", options->off,
      "a part to switch off: LAYER, LAYER.attention, LAYER.mlp, LAYER.HEAD or LAYER.mlp.NEURON, "
      "with @PLACE for one token; may be given several times");
  CLI::Option* const patch =
      command.add_option("--patch", options->patch, "a part that says what it said of the text --from");
  command.add_option("--from", options->from, "a text of at least as many tokens, to patch from")
      ->needs(patch);
  CLI::Option* const no_back =
      command.add_flag("--no-back", options->no_back, "without the way back, which takes most of the time");
  command
      .add_flag("--table", options->table,
                "no page: the loss with each part switched off, or with each --off")
      ->excludes(out, top, patch, no_back);
  command.add_option("--after-end", options->after_end,
                     "yes, no: whether <|endoftext|> is put first; else as the model was trained");
  command.footer(
      "Examples: ./chapbook xray runs/tiny --text \"Once upon a time there was a fox. The fox\"\n"
      "          ./chapbook xray runs/tiny --file valid.txt --table\n"
      "          ./chapbook xray runs/tiny --text \"Tom met Anna. Tom\" --off 2.1 --off 3.mlp");
  command.callback([options] { options->table ? print_table(*options) : write_page(*options); });
}

}  // namespace chapbook
