#include "apps/run/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "apps/report/progress.h"
#include "data/bpe.h"
#include "data/bpe_train.h"
#include "data/quality.h"
#include "data/stories.h"
#include "data/tokenizer_file.h"
#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

namespace fs = std::filesystem;

namespace {

constexpr size_t block_bytes = size_t{8} << 20;  // of text, worked on at once

// A story, or a piece of a long one. What is found out about it is the same whenever the text is read.
struct Piece {
  std::string_view text;
  bool ends_story;
  std::string repaired = {};  // what `text` then shows
  uint64_t hash = 0;          // see story_hash
  int64_t mojibake = 0;
};

// Reads the source in blocks, with a progress bar, and calls work(pieces) for each.
template <class Work>
void read_blocks(const TextSource& source, const std::string& label, const Work& work) {
  Progress progress(label, static_cast<double>(source.bytes));
  std::string text;
  text.reserve(block_bytes + max_story_bytes);
  std::vector<Piece> pieces;
  int64_t bytes = 0;
  const auto flush = [&] {
    work(pieces);
    pieces.clear();
    text.clear();
  };
  source.read([&](std::string_view piece, bool ends_story) {
    if (text.size() + piece.size() > text.capacity()) flush();
    text += piece;
    pieces.push_back({std::string_view(text).substr(text.size() - piece.size()), ends_story});
    if (text.size() >= block_bytes) flush();
    bytes += static_cast<int64_t>(piece.size());
    progress.update(static_cast<double>(std::min(bytes, source.bytes)));
  });
  flush();
  progress.update(static_cast<double>(source.bytes));
}

template <class Work>
void for_each_piece(std::vector<Piece>& pieces, const Work& work) {
  parallel_for(static_cast<int64_t>(pieces.size()), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(pieces[static_cast<size_t>(i)]);
  });
}

void repair_piece(Piece& piece) {
  piece.repaired = repair_mojibake(piece.text);
  piece.text = piece.repaired;
}

// Encodes pieces on all threads and writes them in their order.
class StoryEncoder {
 public:
  StoryEncoder(const Tokenizer& tokenizer, const std::string& path, const TextSource& source,
               TextFacts& facts)
      : tokenizer_(tokenizer),
        writer_(path, {.vocabulary_size = tokenizer.vocabulary_size(),
                       .text = source.name,
                       .tokenizer_hash = tokenizer.hash()}),
        facts_(facts) {}

  void write(const std::vector<const Piece*>& pieces) {
    const size_t share = (pieces.size() + parts_.size() - 1) / parts_.size();
    parallel_for(static_cast<int64_t>(parts_.size()), 1, [&](int64_t begin, int64_t end) {
      for (auto part = static_cast<size_t>(begin); part < static_cast<size_t>(end); ++part) {
        parts_[part].ids.clear();
        parts_[part].ends.clear();
        for (size_t i = part * share; i < std::min(pieces.size(), (part + 1) * share); ++i) {
          tokenizer_.encode_append(pieces[i]->text, SpecialTokens::as_text, parts_[part].ids);
          if (pieces[i]->ends_story) parts_[part].ids.push_back(tokenizer_.end_of_text());
          parts_[part].ends.push_back(parts_[part].ids.size());
        }
      }
    });
    size_t next = 0;
    for (const Part& part : parts_) {
      writer_.append(part.ids);
      size_t begin = 0;
      for (const size_t end : part.ends) {
        count(*pieces[next++], static_cast<int64_t>(end - begin));
        begin = end;
      }
    }
  }

  void finish() { writer_.finish(); }
  TokenFileInfo close() { return writer_.close(); }

 private:
  struct Part {  // of the pieces: their tokens, and where each piece ends
    std::vector<int32_t> ids;
    std::vector<size_t> ends;
  };

  void count(const Piece& piece, int64_t tokens) {
    writer_.count_text(static_cast<int64_t>(piece.text.size()), piece.ends_story);
    story_bytes_ += static_cast<int64_t>(piece.text.size());
    story_tokens_ += tokens;
    facts_.tokens += tokens;
    if (!piece.ends_story) return;
    facts_.add_story(story_bytes_, story_tokens_);
    story_bytes_ = story_tokens_ = 0;
  }

  const Tokenizer& tokenizer_;
  TokenFileWriter writer_;
  TextFacts& facts_;
  std::vector<Part> parts_ = std::vector<Part>(64);
  int64_t story_bytes_ = 0, story_tokens_ = 0;  // of the story that goes on
};

// Where a piece goes.
enum class Side : uint8_t { train, valid, nowhere };

// Reads a text the first time: decides where each of its pieces goes, counts what is wrong with it and, if a
// tokenizer is to be learned, the words to learn it from.
class Survey {
 public:
  Survey(const PrepareOptions& options, Prepared& prepared, WordCounts* words)
      : options_(options), prepared_(prepared), words_(words) {}

  // `side`: of all of the text; without it, whole stories are set aside.
  std::vector<Side> look_at(const TextSource& source, std::optional<Side> side) {
    std::vector<Side> sides;
    bool inside_story = false;
    read_blocks(source, "reading", [&](std::vector<Piece>& pieces) {
      for_each_piece(pieces, [&](Piece& piece) {
        piece.mojibake = count_mojibake(piece.text);
        if (options_.repair && piece.mojibake > 0) repair_piece(piece);
        piece.hash = story_hash(piece.text);
      });
      for (Piece& piece : pieces) {
        sides.push_back(decide(piece, side, inside_story));
        if (words_ && sides.back() == Side::train) {
          to_count_ += piece.text;
          if (piece.ends_story) to_count_ += story_separator;
        }
        inside_story = !piece.ends_story;
      }
      if (words_) words_->add(to_count_, thread_pool().threads());
      to_count_.clear();
    });
    return sides;
  }

 private:
  Side decide(const Piece& piece, std::optional<Side> given, bool inside_story) {
    const Side side = given                                             ? *given
                      : in_validation(piece.hash, options_.valid_share) ? Side::valid
                                                                        : Side::train;
    TextFacts& facts = side == Side::train ? prepared_.train_facts : prepared_.valid_facts;
    facts.mojibake += piece.mojibake;
    if (piece.ends_story && !inside_story) {
      const bool is_new = (side == Side::train ? train_stories_ : valid_stories_).insert(piece.hash);
      facts.duplicates += !is_new;
      if (side == Side::valid) facts.leaked += train_stories_.contains(piece.hash);
      if (!is_new && options_.drop_duplicates) return Side::nowhere;
    }
    facts.stories += piece.ends_story;
    facts.bytes += static_cast<int64_t>(piece.text.size());
    facts.hash = (facts.hash ^ piece.hash) * 0x100000001B3u;
    return side;
  }

  const PrepareOptions& options_;
  Prepared& prepared_;
  WordCounts* words_;
  std::string to_count_;
  HashSet train_stories_, valid_stories_;
};

// Reads a text the second time.
void encode(const TextSource& source, const std::vector<Side>& sides, bool repair, StoryEncoder& train,
            StoryEncoder& valid) {
  size_t next = 0;
  read_blocks(source, "encoding", [&](std::vector<Piece>& pieces) {
    check(next + pieces.size() <= sides.size(), "{}: changed while it was read", source.name);
    if (repair)
      for_each_piece(pieces, [](Piece& piece) {
        if (count_mojibake(piece.text) > 0) repair_piece(piece);
      });
    std::vector<const Piece*> to_train, to_valid;
    for (const Piece& piece : pieces) {
      const Side side = sides[next++];
      if (side == Side::train) to_train.push_back(&piece);
      if (side == Side::valid) to_valid.push_back(&piece);
    }
    train.write(to_train);
    valid.write(to_valid);
  });
  check(next == sides.size(), "{}: changed while it was read", source.name);
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
  read_blocks(source, "counting words", [&](const std::vector<Piece>& pieces) {
    for (const Piece& piece : pieces) {
      if (!take(piece.text)) continue;
      text += piece.text;
      if (piece.ends_story) text += story_separator;
    }
    words.add(text, thread_pool().threads());
    text.clear();
  });
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
  check(options.valid.read || (options.valid_share > 0 && options.valid_share < 1),
        "--valid-share is between 0 and 1, not {}", options.valid_share);
  if (options.valid.read || !options.train.text || !options.train.text->one_document()) return options;
  const auto [begin, end] = options.train.text->divided(options.valid_share);
  options.valid = source_of(options.train.name, std::make_shared<Text>(end));
  options.train = source_of(options.train.name, std::make_shared<Text>(begin));
  return options;
}

// It is replaced as a whole.
static void check_holds_a_tokenizer_only(const std::string& directory) {
  if (!fs::exists(directory)) return;
  check(fs::is_directory(directory),
        "'{}' is a file, and a directory of that name is to be written: choose another --out", directory);
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    check(std::ranges::find(tokenizer_files, name) != tokenizer_files.end(),
          "'{}' holds '{}', and a tokenizer is to take its place: choose another --out", directory,
          printable(name));
  }
}

Prepared prepare(const PrepareOptions& given) {
  std::optional<os::File> lock;  // to the end, also while the directory is taken away again
  NewDirectory directory(given.directory);
  lock.emplace(directory.lock(fmt::format("'{}'", given.directory)));
  const std::string tokenizer_directory = given.directory + "/tokenizer";
  check_holds_a_tokenizer_only(tokenizer_directory);
  PrepareOptions options = with_end_set_aside(given);
  const bool split = !options.valid.read;
  if (split) options.valid_share = share_of_stories(options);
  const bool learns = options.tokenizer.empty();
  Prepared prepared;
  WordCounts words;
  Survey survey(options, prepared, learns ? &words : nullptr);
  const auto sides = survey.look_at(options.train, split ? std::nullopt : std::optional(Side::train));
  const auto valid_sides = split ? std::vector<Side>() : survey.look_at(options.valid, Side::valid);
  const auto has = [&](Side side) { return std::find(sides.begin(), sides.end(), side) != sides.end(); };
  check(!split || (has(Side::train) && has(Side::valid)),
        "{}: {} stories for training and {} for validation, but both need some: give more text, or --valid",
        options.train.name, std::count(sides.begin(), sides.end(), Side::train),
        std::count(sides.begin(), sides.end(), Side::valid));
  const Tokenizer tokenizer =
      learns ? train_bpe(words, options.vocabulary) : load_tokenizer(options.tokenizer);

  StoryEncoder train(tokenizer, options.directory + "/train.bin", options.train, prepared.train_facts);
  StoryEncoder valid(tokenizer, options.directory + "/valid.bin", split ? options.train : options.valid,
                     prepared.valid_facts);
  encode(options.train, sides, options.repair, train, valid);
  if (!split) encode(options.valid, valid_sides, options.repair, train, valid);
  // Older files stay as they are until all new ones are on the disk. A kill while they are replaced leaves
  // token files that nobody takes for data.
  write_directory(tokenizer_directory, [&](const std::string& fresh) {
    save_tokenizer(tokenizer, fresh);
    train.finish();
    valid.finish();
    for (const char* name : {"/train.bin", "/valid.bin"})
      os::remove_all(token_file_json(options.directory + name));
    os::remove_all(options.directory + "/text.json");
  });
  prepared.train = train.close();
  prepared.valid = valid.close();
  write_text_facts(options.directory, prepared.train_facts, prepared.valid_facts);
  directory.keep();
  return prepared;
}

}  // namespace chapbook
