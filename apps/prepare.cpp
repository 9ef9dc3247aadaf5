// prepare: makes a text ready for training.
#include "apps/prepare.h"

#include <fmt/format.h>

#include <filesystem>

#include "apps/command.h"
#include "apps/files.h"
#include "apps/progress.h"
#include "data/bpe.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "data/tokenizer_file.h"
#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"

namespace chapbook {
namespace {

constexpr size_t block_bytes = size_t{8} << 20;  // of text, worked on at once

// Encodes stories on all threads, a block at a time, and writes them in their order.
class StoryEncoder {
 public:
  StoryEncoder(const Tokenizer& tokenizer, const std::string& path, const TextSource& source)
      : tokenizer_(tokenizer),
        writer_(path, {.vocabulary_size = tokenizer.vocabulary_size(),
                       .text = source.name,
                       .tokenizer_hash = tokenizer.hash()}) {}

  void add(std::string_view text, bool ends_story) {
    pieces_.push_back({text_.size(), text.size(), ends_story});
    text_ += text;
    if (text_.size() >= block_bytes) flush();
  }

  TokenFileInfo close() {
    flush();
    return writer_.close();
  }

 private:
  struct Piece {
    size_t begin, size;
    bool ends_story;
  };

  void flush() {
    std::vector<std::vector<int32_t>> ids(pieces_.size());
    parallel_for(static_cast<int64_t>(pieces_.size()), 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Piece& piece = pieces_[static_cast<size_t>(i)];
        std::vector<int32_t>& piece_ids = ids[static_cast<size_t>(i)];
        piece_ids = tokenizer_.encode(std::string_view(text_).substr(piece.begin, piece.size));
        if (piece.ends_story) piece_ids.push_back(tokenizer_.end_of_text());
      }
    });
    for (size_t i = 0; i < pieces_.size(); ++i) {
      writer_.append(ids[i]);
      writer_.count_text(static_cast<int64_t>(pieces_[i].size), pieces_[i].ends_story);
    }
    text_.clear();
    pieces_.clear();
  }

  const Tokenizer& tokenizer_;
  TokenFileWriter writer_;
  std::string text_;
  std::vector<Piece> pieces_;
};

// Reads the source with a progress bar.
void read_with_progress(const TextSource& source, const std::string& label, const StorySink& sink) {
  Progress progress(label, static_cast<double>(source.bytes));
  int64_t bytes = 0;
  source.read([&](std::string_view text, bool ends_story) {
    sink(text, ends_story);
    bytes += static_cast<int64_t>(text.size());
    progress.update(static_cast<double>(std::min(bytes, source.bytes)));
  });
  progress.update(static_cast<double>(source.bytes));
}

}  // namespace

TextSource text_source(const std::string& path) {
  return {path, text_size(path), [path](const StorySink& sink) { read_stories(path, sink); }};
}

TextSource built_in_source(int64_t stories, uint64_t seed) {
  const int64_t typical_bytes = 700;
  return {"built-in stories", stories * typical_bytes, [stories, seed](const StorySink& sink) {
            for (int64_t i = 0; i < stories; ++i)
              sink(built_in_stories().story(seed, static_cast<uint64_t>(i)), true);
          }};
}

Tokenizer learn_tokenizer(const TextSource& source, int64_t vocabulary,
                          const std::function<bool(std::string_view)>& take) {
  WordCounts words;
  std::string text;
  const auto flush = [&] {
    words.add(text, thread_pool().threads());
    text.clear();
  };
  read_with_progress(source, "counting words", [&](std::string_view story, bool ends_story) {
    if (!take(story)) return;
    text += story;
    if (ends_story) text += story_separator;
    if (text.size() >= block_bytes) flush();
  });
  flush();
  return train_bpe(words, vocabulary);
}

void check_vocabulary(int64_t size) {
  check(size >= 257 && size <= max_vocabulary_size,
        "--vocabulary is 257 (every byte, and the end of a text) to {} (what two bytes can count), not {}",
        max_vocabulary_size, size);
}

Prepared prepare(const PrepareOptions& options) {
  const bool split = !options.valid.read;
  const auto set_aside = [&](std::string_view story) {
    return split && in_validation(story, options.valid_share);
  };
  const Tokenizer tokenizer = options.tokenizer.empty()
                                  ? learn_tokenizer(options.train, options.vocabulary,
                                                    [&](std::string_view story) { return !set_aside(story); })
                                  : load_tokenizer(options.tokenizer);

  NewDirectory directory(options.directory);
  StoryEncoder train(tokenizer, options.directory + "/train.bin", options.train);
  StoryEncoder valid(tokenizer, options.directory + "/valid.bin", split ? options.train : options.valid);
  int64_t stories = 0, aside = 0;
  read_with_progress(options.train, "encoding", [&](std::string_view story, bool ends_story) {
    const bool is_aside = set_aside(story);
    ++stories;
    aside += is_aside;
    (is_aside ? valid : train).add(story, ends_story);
  });
  check(!split || (aside > 0 && aside < stories),
        "{}: {} stories for training and {} for validation, but both need some: give more text, or --valid",
        options.train.name, stories - aside, aside);
  if (!split)
    read_with_progress(options.valid, "encoding validation",
                       [&](std::string_view story, bool ends_story) { valid.add(story, ends_story); });
  save_tokenizer(tokenizer, options.directory + "/tokenizer");
  const Prepared prepared{train.close(), valid.close()};
  directory.keep();
  return prepared;
}

void add_prepare(CLI::App& program) {
  struct Arguments {
    std::string text, valid, tokenizer, directory;
    double valid_share = 0.02;
    int64_t vocabulary = 2048, stories = 20000;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = program.add_subcommand("prepare", "turn text into token files to train on");
  command->add_option("TEXT", arguments->text,
                      "a text file or a directory of .txt files; without it, the built-in stories");
  command->add_option("--out", arguments->directory, "directory for train.bin, valid.bin and tokenizer/")
      ->required()
      ->type_name("DIR");
  CLI::Option* valid = command
                           ->add_option("--valid", arguments->valid,
                                        "text for validation; without it, some stories are set aside")
                           ->type_name("TEXT");
  command->add_option("--valid-share", arguments->valid_share, "share of the stories to set aside")
      ->capture_default_str()
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
      ->capture_default_str()
      ->type_name("N");
  command->footer(
      "Stories end at a line holding <|endoftext|>, and at the end of a file.\n\n"
      "Examples:\n"
      "  ./chapbook prepare train.txt --valid valid.txt --vocabulary 4096 --out tokens\n"
      "  ./chapbook prepare books/ --tokenizer gpt2/ --out tokens");
  command->callback([arguments] {
    check(arguments->valid_share > 0 && arguments->valid_share < 1,
          "--valid-share is between 0 and 1, not {}", arguments->valid_share);
    check(arguments->stories > 0, "--stories is 1 or more, not {}", arguments->stories);
    check_vocabulary(arguments->vocabulary);
    PrepareOptions options{.train = arguments->text.empty() ? built_in_source(arguments->stories, 1)
                                                            : text_source(arguments->text),
                           .valid = arguments->valid.empty() ? TextSource{} : text_source(arguments->valid),
                           .valid_share = arguments->valid_share,
                           .tokenizer = arguments->tokenizer,
                           .vocabulary = arguments->vocabulary,
                           .directory = arguments->directory};
    const Prepared prepared = prepare(options);
    for (const auto& [name, info] : {std::pair("train", prepared.train), std::pair("valid", prepared.valid)})
      fmt::print("{}/{}.bin: {} tokens of {} stories, {:.2f} bytes a token, from {}\n", arguments->directory,
                 name, info.tokens, info.documents,
                 static_cast<double>(info.text_bytes) / static_cast<double>(info.tokens), info.text);
    const int64_t tokens = prepared.train.vocabulary_size;
    const bool fewer = arguments->tokenizer.empty() && tokens < arguments->vocabulary;
    fmt::print("{}/tokenizer: {} tokens{}\n", arguments->directory, tokens,
               fewer ? ": the text has no more to merge" : "");
  });
}

}  // namespace chapbook
