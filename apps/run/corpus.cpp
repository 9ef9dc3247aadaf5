#include "apps/run/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/report/progress.h"
#include "data/bpe.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "data/tokenizer_file.h"
#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/files.h"

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

static TextSource source_of(const std::string& name, std::shared_ptr<const Text> text) {
  return {name, text->bytes(), [text](const StorySink& sink) { text->read(sink); }, text};
}

TextSource text_source(const std::string& path) { return source_of(path, std::make_shared<Text>(path)); }

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

// The share to set aside of stories: as asked for, unless there are so few that none would be.
static double share_of_stories(const PrepareOptions& options) {
  if (options.train.bytes > 4 << 20) return options.valid_share;
  double least = 1;  // of the stories' places
  options.train.read([&](std::string_view story, bool) { least = std::min(least, validation_place(story)); });
  return std::max(options.valid_share, std::nextafter(least, 1.0));
}

// A book has no stories: its end is set aside.
static PrepareOptions with_end_set_aside(PrepareOptions options) {
  if (options.valid.read || !options.train.text || !options.train.text->one_document()) return options;
  const auto [begin, end] = options.train.text->divided(options.valid_share);
  options.valid = source_of(options.train.name, std::make_shared<Text>(end));
  options.train = source_of(options.train.name, std::make_shared<Text>(begin));
  return options;
}

Prepared prepare(const PrepareOptions& given) {
  const PrepareOptions options = with_end_set_aside(given);
  const bool split = !options.valid.read;
  const double share = split ? share_of_stories(options) : 0;
  const auto set_aside = [&](std::string_view story) { return split && in_validation(story, share); };
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

}  // namespace chapbook
