// Files of text or of JSON Lines as stories: reading one story after another with little memory, and deciding
// which side of the training and validation split a story belongs to. That decision looks at the story alone,
// so a story that occurs twice in the data, in any file, is never on both sides.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chapbook {

inline constexpr std::string_view story_separator =
    "<|endoftext|>";  // ends a story in a text file, and is a token

// A longer story is handed over in pieces of at most this many bytes, each cut before white space (or else
// between two UTF-8 characters). A book without separators is thus many pieces, enough of them to be split.
inline constexpr size_t max_story_bytes = size_t{1} << 14;

// Called with each piece of text and whether it ends its story. The text is only valid during the call.
using StorySink = std::function<void(std::string_view text, bool ends_story)>;

// The file itself, or the .txt and .jsonl files of a directory in the order of their names. Throws Error when
// there is none.
std::vector<std::filesystem::path> text_files(const std::filesystem::path& path);

// What a file that begins so seems to be, and what to do with it, if it is no text: it is compressed, holds
// numbers or UTF-16, or has a zero byte. Empty for text, in whatever encoding of bytes.
std::string not_text(std::string_view bytes);

// A text file, a .jsonl file, or those of a directory. A file that is called otherwise than .txt and .jsonl,
// as a pipe is, holds JSON Lines where its first line is a JSON object. A pipe, which can be read only once,
// is copied to a temporary file when it is opened. Throws Error for a path that cannot be read.
class Text {
 public:
  explicit Text(const std::filesystem::path& path);

  int64_t bytes() const;  // of all files, for progress

  // A story ends at <|endoftext|>, which mostly has a line to itself, and at the end of a file, or of a line
  // of JSON. Its bytes are handed over unchanged, CR LF included, except that white space around the story is
  // dropped, and with it empty stories. Throws Error for what is no text and for text without any story. May
  // be called again.
  void read(const StorySink& sink) const;

  // Whether no separator divides it: a book, not stories.
  bool one_document() const;
  // Such a text in two, the second of about that share (0 .. 1): divided where a paragraph ends, or else a
  // line, or else a word. Throws where that is too little to be of use.
  std::pair<Text, Text> divided(double share) const;

 private:
  struct Part {
    std::filesystem::path path;  // shown, and opened unless there is
    std::shared_ptr<std::FILE> copy;
    int64_t begin = 0, end = 0;  // in bytes
    bool json_lines = false;
  };
  explicit Text(Part part) : parts_{std::move(part)} {}
  static bool is_json_lines(const Part& part);
  // Calls block(bytes) for all of it, a piece at a time, until that gives false.
  static void read_part(const Part& part, const std::function<bool(std::string_view)>& block);

  std::vector<Part> parts_;
};

inline void read_stories(const std::filesystem::path& path, const StorySink& sink) { Text(path).read(sink); }

// A hash of the story that sees any run of white space as one space.
uint64_t story_hash(std::string_view story);

// True for about `fraction` (0 .. 1) of all stories. Stories equal but for white space have equal answers.
// Of these it is the place of a story between 0 and 1 that is compared with the fraction.
double validation_place(std::string_view story);
double validation_place(uint64_t story_hash);
bool in_validation(std::string_view story, double fraction);
bool in_validation(uint64_t story_hash, double fraction);

}  // namespace chapbook
