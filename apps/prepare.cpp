// prepare: makes a text ready for training.
#include <fmt/core.h>

#include <optional>

#include "apps/command.h"
#include "apps/fetch_options.h"
#include "apps/run/corpus.h"
#include "tensor/check.h"

namespace chapbook {

void add_prepare(CLI::App& program) {
  struct Arguments {
    std::string text, valid, tokenizer, directory;
    std::optional<double> valid_share;
    int64_t vocabulary = 2048, stories = 20000;
    bool drop_duplicates = false, repair = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = program.add_subcommand("prepare", "turn text into token files to train on");
  CLI::Option* text = command->add_option("TEXT", arguments->text,
                                          "a text file (.txt, .jsonl), a directory of them, an address, or a "
                                          "set's name (see download); without it, "
                                          "the built-in stories");
  command->add_option("--out", arguments->directory, "directory for train.bin, valid.bin and tokenizer/")
      ->required()
      ->type_name("DIR");
  CLI::Option* valid = command
                           ->add_option("--valid", arguments->valid,
                                        "text for validation; without it, some of the text is set aside")
                           ->type_name("TEXT");
  command->add_option("--valid-share", arguments->valid_share, "share of the text to set aside")
      ->check(share())
      ->default_str(fmt::format("{}", usual_valid_share))
      ->type_name("SHARE")
      ->excludes(valid);
  CLI::Option* tokenizer = command
                               ->add_option("--tokenizer", arguments->tokenizer,
                                            "a tokenizer there is; without it, one is learned")
                               ->type_name("DIR");
  command->add_option("--vocabulary", arguments->vocabulary, "tokens of the tokenizer to learn")
      ->capture_default_str()
      ->type_name("N")
      ->excludes(tokenizer);
  command->add_option("--stories", arguments->stories, "how many built-in stories")
      ->check(whole_number(1))
      ->capture_default_str()
      ->type_name("N")
      ->excludes(text);
  command->add_flag("--drop-duplicates", arguments->drop_duplicates, "leave out stories that came before");
  command->add_flag("--repair", arguments->repair,
                    "mend characters that were read in the wrong encoding (UTF-8 as Windows-1252)");
  const FetchOptionsOf fetch = add_fetch_options(*command);
  command->footer(
      "Stories end at a line holding <|endoftext|>, and at the end of a file.\n\n"
      "Examples:\n"
      "  ./chapbook prepare train.txt --valid valid.txt --vocabulary 4096 --out tokens\n"
      "  ./chapbook prepare tinystories --vocabulary 4096 --out tokens\n"
      "  ./chapbook prepare books/ --tokenizer gpt2/ --out tokens");
  command->callback([arguments, fetch, command] {
    check_vocabulary(arguments->vocabulary);
    if (is_remote(arguments->text)) {
      check_share_to_set_aside(arguments->text, arguments->valid_share);
      const FetchedTexts texts = fetch_texts(arguments->text, *fetch);
      arguments->text = texts.train;
      if (arguments->valid.empty()) arguments->valid = texts.valid;
    } else {
      check_nothing_fetched(*command);
    }
    PrepareOptions options{.train = arguments->text.empty() ? built_in_source(arguments->stories, 1)
                                                            : text_source(arguments->text),
                           .valid = arguments->valid.empty() ? TextSource{} : text_source(arguments->valid),
                           .valid_share = arguments->valid_share.value_or(usual_valid_share),
                           .tokenizer = arguments->tokenizer,
                           .vocabulary = arguments->vocabulary,
                           .directory = arguments->directory,
                           .drop_duplicates = arguments->drop_duplicates,
                           .repair = arguments->repair};
    const Prepared prepared = prepare(options);
    for (const auto& [name, info] : {std::pair("train", prepared.train), std::pair("valid", prepared.valid)})
      fmt::print("{}/{}.bin: {} tokens of {} stories, {:.2f} bytes a token, from {}\n", arguments->directory,
                 name, info.tokens, info.documents,
                 static_cast<double>(info.text_bytes) / static_cast<double>(info.tokens), info.text);
    for (const auto& [name, facts] :
         {std::pair("train", prepared.train_facts), std::pair("valid", prepared.valid_facts)}) {
      if (facts.duplicates > 0)
        fmt::print("{}: {} stories came before{}\n", name, facts.duplicates,
                   options.drop_duplicates ? "; left out" : "; --drop-duplicates leaves them out");
      if (facts.leaked > 0) fmt::print("{}: {} stories are among those to train on\n", name, facts.leaked);
      if (facts.mojibake > 0)
        fmt::print("{}: {} characters look misread (mojibake){}\n", name, facts.mojibake,
                   options.repair ? "; mended" : "; --repair mends them");
    }
    fmt::print("{0}/text.json, {0}/lengths.svg, {0}/bytes_per_token.svg: what is in the text\n",
               arguments->directory);
    const int64_t tokens = prepared.train.vocabulary_size;
    const bool fewer = arguments->tokenizer.empty() && tokens < arguments->vocabulary;
    fmt::print("{}/tokenizer: {} tokens{}\n", arguments->directory, tokens,
               fewer ? ": the text has no more to merge" : "");
  });
}

}  // namespace chapbook
