#include "data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "data/json_lines.h"
#include "tensor/check.h"
#include "tensor/json.h"
#include "tensor/random.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view white_space = " \t\n\v\f\r";

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }  // white_space, without a search
bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}  // UTF-8: 10xxxxxx

// Where to cut a story that is longer than the maximum: before the last white space, so that a word keeps the
// space before it, as byte-level tokenizers want it.
size_t cut_point(std::string_view text) {
  for (size_t cut = max_story_bytes; cut > max_story_bytes / 2; --cut) {
    if (is_space(text[cut]) && !is_space(text[cut - 1])) return cut;
  }
  size_t cut = max_story_bytes;
  while (cut > max_story_bytes - 3 && continues_character(text[cut])) --cut;
  return cut;
}

// Finds the stories in a stream of bytes.
class StoryScanner {
 public:
  explicit StoryScanner(const StorySink& sink) : sink_(sink) {}

  void add(std::string_view bytes) {
    pending_ += bytes;
    std::string_view rest = pending_;
    while (true) {
      const size_t end = rest.find(story_separator);
      if (end == rest.npos) break;
      finish_story(rest.substr(0, end));
      rest.remove_prefix(end + story_separator.size());
    }
    // Keep enough to recognise a separator of which only the first bytes have come, and to trim the end of
    // the story.
    emit_pieces(rest, max_story_bytes + story_separator.size());
    pending_.erase(0, pending_.size() - rest.size());
  }

  void finish() {  // what has come is a file, or a line of one, and the end of its story
    finish_story(pending_);
    pending_.clear();
  }

  bool found_any() const { return found_any_; }

 private:
  void finish_story(std::string_view text) {
    if (const size_t last = text.find_last_not_of(white_space); last != text.npos) {
      text = text.substr(0, last + 1);
      emit_pieces(text, max_story_bytes);
    } else {
      text = {};
    }
    if (inside_story_ || text.find_first_not_of(white_space) != text.npos) emit(text, true);
    inside_story_ = false;
  }

  // Hands over pieces until at most `keep` bytes are left.
  void emit_pieces(std::string_view& text, size_t keep) {
    if (!inside_story_) text.remove_prefix(std::min(text.size(), text.find_first_not_of(white_space)));
    while (text.size() > keep) {
      const size_t cut = cut_point(text);
      emit(text.substr(0, cut), false);
      text.remove_prefix(cut);
      inside_story_ = true;
    }
  }

  void emit(std::string_view text, bool ends_story) {
    found_any_ = true;
    sink_(text, ends_story);
  }

  const StorySink& sink_;
  std::string pending_;
  bool inside_story_ = false;  // a piece of the present story has been handed over
  bool found_any_ = false;
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

std::shared_ptr<std::FILE> open_text(const fs::path& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  check(file != nullptr, "text {}: cannot be opened: {}", path.string(), std::strerror(errno));
  return {file, CloseFile()};
}

// All that comes from a pipe, in a file without a name that goes when it is closed.
std::shared_ptr<std::FILE> copied(const fs::path& path) {
  const std::shared_ptr<std::FILE> from = open_text(path);
  std::FILE* file = std::tmpfile();
  check(file != nullptr, "text {}: can be read only once, and there is no temporary file for it: {}",
        path.string(), std::strerror(errno));
  const std::shared_ptr<std::FILE> to(file, CloseFile());
  std::string block(size_t{1} << 16, '\0');
  bool written = true;
  while (const size_t size = std::fread(block.data(), 1, block.size(), from.get()))
    written = written && std::fwrite(block.data(), 1, size, file) == size;
  const bool read = !std::ferror(from.get());
  written = std::fflush(file) == 0 && written;
  check(read && written, "text {}: cannot be copied to a temporary file: {}", path.string(),
        std::strerror(errno));
  return to;
}

}  // namespace

std::vector<fs::path> text_files(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    check(fs::exists(path, error), "text {}: no such file or directory", path.string());
    return {path};
  }
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const fs::path extension = entry->path().extension();
    if ((extension == ".txt" || extension == ".jsonl") && entry->is_regular_file(ignored))
      files.push_back(entry->path());
  }
  check(!error, "text {}: the directory cannot be read: {}", path.string(), error.message());
  check(!files.empty(), "text {}: the directory holds no .txt or .jsonl file", path.string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string not_text(std::string_view bytes) {
  using namespace std::string_view_literals;
  static constexpr std::string_view text_first = "text must be taken out of it first";
  const struct {
    std::string_view begin, is, what_to_do;
  } kinds[] = {
      {"\x1f\x8b"sv, "gzip data", "unpack it first, with gunzip"},
      {"PK\x03\x04"sv, "a zip archive", "unpack it first, with unzip"},
      {"\x28\xb5\x2f\xfd"sv, "zstd data", "unpack it first, with unzstd"},
      {"\xfd"
       "7zXZ\0"sv,
       "xz data", "unpack it first, with unxz"},
      {"BZh"sv, "bzip2 data", "unpack it first, with bunzip2"},
      {"\xff\xfe\0\0"sv, "UTF-32 text", "make UTF-8 of it, with iconv -f UTF-32 -t UTF-8"},
      {"\xff\xfe"sv, "UTF-16 text", "make UTF-8 of it, with iconv -f UTF-16 -t UTF-8"},
      {"\xfe\xff"sv, "UTF-16 text", "make UTF-8 of it, with iconv -f UTF-16 -t UTF-8"},
      {"%PDF-"sv, "a PDF", text_first},
      {"PAR1"sv, "a Parquet table",
       "write it as a .jsonl file first; with pandas: read_parquet(FILE).to_json(FILE.jsonl, "
       "orient='records', lines=True)"},
      {"ARROW1"sv, "an Arrow table", text_first},
      {"\x93NUMPY"sv, "a NumPy array", text_first},
      {"GGUF"sv, "a GGUF model", "give text"},
      {"\x7f"
       "ELF"sv,
       "a program", "give text"},
      {"\x89PNG"sv, "a picture", "give text"},
      {"\xff\xd8\xff"sv, "a picture", "give text"},
      {"\x88\x51\x34\x01"sv, "a token file of llm.c",
       "give the directory of train.bin, valid.bin and tokenizer"},
  };
  for (const auto& [begin, is, what_to_do] : kinds)
    if (bytes.starts_with(begin) && (begin != "BZh" || bytes.find("1AY&SY") == 4))
      return fmt::format("{}: {}", is, what_to_do);
  if (bytes.find('\0') == bytes.npos) return "";
  if (bytes.size() > 9 && bytes[8] == '{' && bytes.substr(4, 4) == "\0\0\0\0"sv)
    return "a safetensors file: give text";
  size_t zeros[2] = {0, 0};
  for (size_t i = 0; i < bytes.size(); ++i) zeros[i % 2] += bytes[i] == '\0';
  for (const int side : {0, 1})  // nearly all of one kind, and none of the other
    if (zeros[side] * 20 >= bytes.size() * 9 && zeros[1 - side] == 0)
      return "UTF-16 text: make UTF-8 of it, with iconv -f UTF-16 -t UTF-8";
  return "a file of tokens or other numbers, as it has zero bytes: give text, or the directory of a "
         "train.bin";
}

Text::Text(const fs::path& path) {
  for (const fs::path& file : text_files(path)) {
    Part part{.path = file, .copy = {}};
    std::error_code error;
    if (!fs::is_regular_file(file, error)) {
      part.copy = copied(file);
      part.end = std::ftell(part.copy.get());
    } else {
      part.end = static_cast<int64_t>(fs::file_size(file, error));
      check(!error, "text {}: cannot be read: {}", file.string(), error.message());
    }
    part.json_lines = is_json_lines(part);
    parts_.push_back(std::move(part));
  }
}

int64_t Text::bytes() const {
  int64_t bytes = 0;
  for (const Part& part : parts_) bytes += part.end - part.begin;
  return bytes;
}

bool Text::is_json_lines(const Part& part) {
  if (const fs::path extension = part.path.extension(); extension == ".txt" || extension == ".jsonl")
    return extension == ".jsonl";
  std::string line;
  read_part(part, [&](std::string_view bytes) {
    if (line.empty()) bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
    const size_t end = bytes.find('\n');
    line += bytes.substr(0, end);
    return end == bytes.npos && line.size() <= max_json_line_bytes;
  });
  return try_parse_json(line).is_object();
}

void Text::read_part(const Part& part, const std::function<bool(std::string_view)>& block) {
  const std::shared_ptr<std::FILE> file = part.copy ? part.copy : open_text(part.path);
  bool fine = std::fseek(file.get(), part.begin, SEEK_SET) == 0;
  int error = errno;
  std::string buffer(size_t{1} << 16, '\0');
  for (int64_t at = part.begin; fine && at < part.end;) {
    const size_t wanted = static_cast<size_t>(std::min<int64_t>(part.end - at, buffer.size()));
    const size_t size = std::fread(buffer.data(), 1, wanted, file.get());
    error = errno;  // `block` may change it
    const std::string_view bytes = std::string_view(buffer).substr(0, size);
    if (at == 0 || bytes.find('\0') != bytes.npos)
      if (const std::string is = not_text(bytes); !is.empty())
        fail("text {}: seems to be {}", part.path.string(), is);
    fine = size == wanted;  // else an error, or the file has become shorter
    if (!block(bytes)) return;
    at += static_cast<int64_t>(size);
  }
  check(fine, "text {}: cannot be read: {}", part.path.string(),
        std::ferror(file.get()) ? std::strerror(error) : "it has become shorter meanwhile");
}

void Text::read(const StorySink& sink) const {
  StoryScanner scanner(sink);
  for (const Part& part : parts_) {
    const bool in_json = part.json_lines;
    JsonLines lines(part.path.string(), [&](std::string_view story) {
      scanner.add(story);
      scanner.finish();
    });
    read_part(part, [&](std::string_view bytes) {
      in_json ? lines.add(bytes) : scanner.add(bytes);
      return true;
    });
    in_json ? lines.finish() : scanner.finish();
  }
  check(scanner.found_any(), "text {}: holds no text", parts_[0].path.string());
}

bool Text::one_document() const {
  std::string end;  // of what has come: a separator may lie across two blocks
  bool ended = false, one = parts_.size() == 1 && !parts_[0].json_lines;
  const auto look = [&](std::string_view bytes) {
    end += bytes;
    std::string_view rest = end;
    if (const size_t at = rest.find(story_separator); !ended && at != rest.npos) {
      ended = true;
      rest.remove_prefix(at + story_separator.size());
    }
    // Separators at the end, one after another, end nothing more.
    for (size_t at; ended && (at = rest.find(story_separator)) != rest.npos;) {
      one = one && rest.substr(0, at).find_first_not_of(white_space) == rest.npos;
      rest.remove_prefix(at + story_separator.size());
    }
    if (ended) one = one && rest.find_first_not_of(white_space) == rest.npos;
    end = rest.substr(rest.size() - std::min(rest.size(), story_separator.size() - 1));
    return one;
  };
  if (one) read_part(parts_[0], look);
  return one;
}

std::pair<Text, Text> Text::divided(double share) const {
  const Part& part = parts_.at(0);
  const auto aside = static_cast<int64_t>(share * static_cast<double>(bytes()));
  check(aside >= 16 && bytes() - aside >= 16,
        "text {}: has {} bytes, too few to set {} of them aside for validation; give more text, or --valid",
        part.path.string(), bytes(), aside);
  // Looked for half as far as the part is long, and not farther than a page is.
  const int64_t target = part.end - aside,
                reach = std::min<int64_t>({aside / 2, (bytes() - aside) / 2, 1 << 15});
  std::string around;
  Part page = part;
  page.begin = target - reach;
  page.end = target + reach;
  read_part(page, [&](std::string_view bytes) {
    around += bytes;
    return true;
  });
  const auto nearest = [&](std::string_view mark) {
    const size_t middle = around.size() / 2, before = around.rfind(mark, middle),
                 after = around.find(mark, middle);
    if (before == around.npos) return after;
    return after == around.npos || middle - before <= after - middle ? before : after;
  };
  size_t cut = around.npos;
  for (const std::string_view mark : {"\n\n", "\n\r\n", "\n", " "})
    if (cut == around.npos) cut = nearest(mark);
  if (cut == around.npos)
    for (cut = around.size() / 2; cut > 0 && continues_character(around[cut]);) --cut;
  Part first = part, second = part;
  first.end = second.begin = page.begin + static_cast<int64_t>(cut);
  return {Text(first), Text(second)};
}

uint64_t story_hash(std::string_view story) {
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a, 64 bits (Fowler, Noll, Vo)
  size_t end = story.size();
  while (end > 0 && is_space(story[end - 1])) --end;
  size_t at = 0;
  while (at < end && is_space(story[at])) ++at;
  for (; at < end; ++at) {
    // Of a run of white space the last counts, as a space. Runs are nearly all of one, so the processor
    // guesses right; a branch at every space it would not.
    const bool space = is_space(story[at]);
    if (space && is_space(story[at + 1])) continue;
    hash = (hash ^ static_cast<unsigned char>(space ? ' ' : story[at])) * 0x100000001B3u;
  }
  return hash;
}

double validation_place(std::string_view story) { return validation_place(story_hash(story)); }

double validation_place(uint64_t story_hash) {
  return uniform_at(story_hash, 0, 0);  // Philox spreads the bits that FNV-1a leaves uneven
}

bool in_validation(std::string_view story, double fraction) {
  return in_validation(story_hash(story), fraction);
}

bool in_validation(uint64_t story_hash, double fraction) {
  check(fraction >= 0 && fraction <= 1, "the validation fraction must be between 0 and 1, not {}", fraction);
  return validation_place(story_hash) < fraction;
}

}  // namespace chapbook
