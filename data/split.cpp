#include "data/split.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "tensor/check.h"
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

  void finish_file() {
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

void read_file(const fs::path& path, StoryScanner& scanner) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  check(file != nullptr, "text {}: cannot be opened: {}", path.string(), std::strerror(errno));
  std::string block(size_t{1} << 16, '\0');
  while (const size_t size = std::fread(block.data(), 1, block.size(), file.get())) {
    scanner.add(std::string_view(block).substr(0, size));
  }
  check(!std::ferror(file.get()), "text {}: cannot be read: {}", path.string(), std::strerror(errno));
  scanner.finish_file();
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
    if (entry->path().extension() == ".txt" && entry->is_regular_file(ignored))
      files.push_back(entry->path());
  }
  check(!error, "text {}: the directory cannot be read: {}", path.string(), error.message());
  check(!files.empty(), "text {}: the directory holds no .txt file", path.string());
  std::sort(files.begin(), files.end());
  return files;
}

int64_t text_size(const fs::path& path) {
  int64_t bytes = 0;
  for (const fs::path& file : text_files(path)) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (!error) bytes += static_cast<int64_t>(size);  // a pipe has no size
  }
  return bytes;
}

void read_stories(const fs::path& path, const StorySink& sink) {
  StoryScanner scanner(sink);
  for (const fs::path& file : text_files(path)) read_file(file, scanner);
  check(scanner.found_any(), "text {}: holds no text", path.string());
}

uint64_t story_hash(std::string_view story) {
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a, 64 bits (Fowler, Noll, Vo)
  const auto add = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u; };
  bool space = false, started = false;
  for (const char c : story) {
    if (is_space(c)) {
      space = true;
      continue;
    }
    if (space && started) add(' ');
    add(c);
    space = false;
    started = true;
  }
  return hash;
}

bool in_validation(std::string_view story, double fraction) {
  return in_validation(story_hash(story), fraction);
}

bool in_validation(uint64_t story_hash, double fraction) {
  check(fraction >= 0 && fraction <= 1, "the validation fraction must be between 0 and 1, not {}", fraction);
  return uniform_at(story_hash, 0, 0) < fraction;  // Philox spreads the bits that FNV-1a leaves uneven
}

}  // namespace chapbook
