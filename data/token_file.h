// Token files: a text as token ids, ready to be mapped into memory. NAME.bin holds the ids as little-endian
// u16 and nothing else (nanoGPT's format); NAME.json beside it says what they are. llm.c's .bin, with its
// header of 256 int32, is read too.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/files.h"

namespace chapbook {

inline constexpr int64_t max_vocabulary_size = 65536;  // what u16 can count

// The JSON beside a token file.
struct TokenFileInfo {
  int64_t vocabulary_size = 0;
  int64_t tokens = 0;
  int64_t documents = 0;       // 0 when not known
  int64_t text_bytes = 0;      // of the text that was encoded, for bits per byte; 0 when not known
  std::string text;            // what was encoded: "built-in stories", or a file name
  std::string tokenizer_hash;  // empty when not known

  bool operator==(const TokenFileInfo&) const = default;
};

// Writes a token file piece by piece, as a NewFile does: until close() there is none.
class TokenFileWriter {
 public:
  // `info` gives vocabulary_size, text and tokenizer_hash; the counts are the writer's.
  TokenFileWriter(std::filesystem::path path, TokenFileInfo info);
  // Throws Error for an id outside 0 .. vocabulary_size - 1.
  void append(std::span<const int32_t> ids);
  void count_text(int64_t bytes, int64_t documents);  // adds to the info

  // All is on the disk, beside its place: what fails, fails here. Throws Error when nothing was appended.
  void finish();
  // Puts both files in place, finished or not.
  TokenFileInfo close();

 private:
  void flush();

  std::filesystem::path path_;
  TokenFileInfo info_;
  std::vector<uint16_t> buffer_;
  std::optional<NewFile> file_, json_;
};

// A token file mapped into memory, and checked when it is opened.
class TokenFile {
 public:
  // A file without JSON, from nanoGPT or llm.c, needs its vocabulary size from the caller; 0 means that the
  // JSON must tell. Throws Error when there is no such file, when it is empty or truncated, when it and its
  // JSON disagree, and when an id is outside the vocabulary.
  static TokenFile open(const std::filesystem::path& path, int64_t vocabulary_size = 0);

  std::span<const uint16_t> tokens() const { return tokens_; }
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  const TokenFileInfo& info() const { return info_; }
  const std::filesystem::path& path() const { return path_; }
  std::string hash() const;  // of the ids: 16 hexadecimal digits, so that a resumed run knows its data again

 private:
  TokenFile() = default;

  std::filesystem::path path_;
  TokenFileInfo info_;
  os::Mapping mapping_;
  std::span<const uint16_t> tokens_;  // in it
};

// NAME.bin -> NAME.json
std::filesystem::path token_file_json(const std::filesystem::path& path);

// Throws Error when the file was made with another tokenizer. A file that does not know its tokenizer, one
// without JSON, passes.
void check_same_tokenizer(const TokenFile& file, const std::string& tokenizer_hash);

}  // namespace chapbook
