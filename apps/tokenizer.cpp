// tokenizer: learns a tokenizer, and turns text into token ids and back.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "apps/command.h"
#include "apps/run/corpus.h"
#include "data/bpe.h"
#include "data/tokenizer_file.h"
#include "data/utf8.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

struct TokenizerArguments {
  std::string tokenizer, input = "-", text, directory;
  int64_t vocabulary = 2048;
  bool special = false, table = false;
};

std::string input_of(const TokenizerArguments& arguments) {
  return read_file(arguments.input == "-" ? "/dev/stdin" : arguments.input);
}

void train(const TokenizerArguments& arguments) {
  check_vocabulary(arguments.vocabulary);
  const Tokenizer tokenizer = learn_tokenizer(text_source(arguments.text), arguments.vocabulary);
  save_tokenizer(tokenizer, arguments.directory);
  fmt::print("{}: {} tokens\n", arguments.directory, tokenizer.vocabulary_size());
}

void encode(const TokenizerArguments& arguments) {
  const Tokenizer tokenizer = load_tokenizer(arguments.tokenizer);
  const auto ids = tokenizer.encode(input_of(arguments),
                                    arguments.special ? SpecialTokens::recognise : SpecialTokens::as_text);
  if (arguments.table) {
    for (const int32_t id : ids) fmt::print("{:>5}  \"{}\"\n", id, visible(tokenizer.token_bytes(id)));
  } else {
    fmt::print("{}\n", fmt::join(ids, " "));
  }
}

void decode(const TokenizerArguments& arguments) {
  const Tokenizer tokenizer = load_tokenizer(arguments.tokenizer);
  const std::string input = input_of(arguments);
  const auto is_space = [](char letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r'); };
  std::vector<int32_t> ids;
  for (auto at = std::find_if_not(input.begin(), input.end(), is_space); at != input.end();
       at = std::find_if_not(at, input.end(), is_space)) {
    const auto end = std::find_if(at, input.end(), is_space);
    int32_t id = 0;
    const auto [rest, error] = std::from_chars(&*at, &*at + (end - at), id);
    check(error == std::errc{} && rest == &*at + (end - at), "\"{}\" is not a token id",
          visible({&*at, static_cast<size_t>(end - at)}));
    ids.push_back(id);
    at = end;
  }
  const std::string text = tokenizer.decode(ids);
  std::fwrite(text.data(), 1, text.size(), stdout);  // main looks at stdout's error flag
}

}  // namespace

void add_tokenizer(CLI::App& program) {
  auto arguments = std::make_shared<TokenizerArguments>();
  CLI::App* command =
      program.add_subcommand("tokenizer", "learn a tokenizer; turn text into token ids and back");
  command->require_subcommand(1);

  CLI::App* train_command = command->add_subcommand("train", "learn a byte-level BPE tokenizer from text");
  train_command->add_option("TEXT", arguments->text, "a text file (.txt, .jsonl) or a directory of them")
      ->required();
  train_command->add_option("--vocabulary", arguments->vocabulary, "how many tokens")
      ->capture_default_str()
      ->type_name("N");
  train_command
      ->add_option("--out", arguments->directory, "directory for tokenizer.json, vocab.json and merges.txt")
      ->required()
      ->type_name("DIR");
  train_command->footer(
      "Example:\n  ./chapbook tokenizer train stories.txt --vocabulary 4096 --out tokenizer");
  train_command->callback([arguments] { train(*arguments); });

  CLI::App* encode_command = command->add_subcommand("encode", "text to token ids, on standard output");
  encode_command->add_flag("--special", arguments->special, "read <|endoftext|> as one token, not as text");
  encode_command->add_flag("--table", arguments->table, "one token a line, with its text");
  encode_command->footer(
      "Example:\n  echo 'Once upon a time' | ./chapbook tokenizer encode runs/tiny/last --table");
  encode_command->callback([arguments] { encode(*arguments); });

  CLI::App* decode_command =
      command->add_subcommand("decode", "token ids, separated by white space, to text");
  decode_command->footer(
      "Example:\n  echo 'Hello' | ./chapbook tokenizer encode gpt2 | ./chapbook tokenizer decode gpt2");
  decode_command->callback([arguments] { decode(*arguments); });

  for (CLI::App* either : {encode_command, decode_command}) {
    either->add_option("TOKENIZER", arguments->tokenizer, "directory or tokenizer.json")->required();
    either->add_option("INPUT", arguments->input, "a file; - is standard input")->capture_default_str();
  }
}

}  // namespace chapbook
