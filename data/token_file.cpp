#include "data/token_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "data/utf8.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little,
              "token files are mapped as they are: little-endian");

constexpr size_t buffer_tokens = size_t{1} << 16;
constexpr std::string_view format = "u16 little-endian";
constexpr std::string_view again = "make it again with `chapbook prepare`";

std::string to_json(const TokenFileInfo& info) {
  const Json json = {{"format", format},
                     {"vocabulary_size", info.vocabulary_size},
                     {"tokens", info.tokens},
                     {"documents", info.documents},
                     {"text_bytes", info.text_bytes},
                     {"text", info.text},
                     {"tokenizer_hash", info.tokenizer_hash}};
  // A file name may hold bytes that are not UTF-8.
  return to_text(json, 2) + "\n";
}

// Nothing when there is no such file.
std::optional<TokenFileInfo> read_json(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const auto json = try_parse_json(read_file(path));
  check(json.is_object(), "token file {}: is not a JSON object; {}", path.string(), again);

  const auto number = [&](const char* name) {
    const auto field = json.find(name);
    check(field != json.end() && field->is_number_unsigned() && field->get<uint64_t>() <= INT64_MAX,
          "token file {}: \"{}\" is not there or not a whole number; {}", path.string(), name, again);
    return field->get<int64_t>();
  };
  const auto string = [&](const char* name) {
    const auto field = json.find(name);
    check(field != json.end() && field->is_string(), "token file {}: \"{}\" is not there or not a string; {}",
          path.string(), name, again);
    return field->get<std::string>();
  };
  TokenFileInfo info{number("vocabulary_size"), number("tokens"), number("documents"),
                     number("text_bytes"),      string("text"),   string("tokenizer_hash")};
  check(string("format") == format, "token file {}: its format is \"{}\", not {}; {}", path.string(),
        visible(string("format")), format, again);
  return info;
}

void check_vocabulary_size(int64_t size, const fs::path& path) {
  check(size >= 1 && size <= max_vocabulary_size,
        "token file {}: a vocabulary of {} does not fit its u16 ids, which count to {}", path.string(), size,
        max_vocabulary_size);
}

// llm.c's header: magic, version, number of tokens, zeros.
struct LlmcHeader {
  static constexpr int32_t magic = 20240520, magic_u32 = 20240801;  // of ids of 16 and of 32 bits
  int32_t words[256];
};

// Ids of 32 bits, read as twice as many of 16, alternate between an id and what is nearly nothing.
bool look_wider(std::span<const uint16_t> tokens) {
  constexpr uint16_t few = 4;  // 4 times 65,536 ids are more than any vocabulary has
  bool low_varies = false;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i % 2 == 1 && tokens[i] >= few) return false;
    low_varies |= i % 2 == 0 && tokens[i] >= few;
  }
  return low_varies && tokens.size() >= 16;
}

}  // namespace

fs::path token_file_json(const fs::path& path) { return fs::path(path).replace_extension(".json"); }

TokenFileWriter::TokenFileWriter(fs::path path, TokenFileInfo info)
    : path_(std::move(path)), info_(std::move(info)) {
  check(path_.extension() == ".bin", "token file {}: the name must end in .bin", path_.string());
  check_vocabulary_size(info_.vocabulary_size, path_);
  info_.tokens = info_.documents = info_.text_bytes = 0;
  buffer_.reserve(buffer_tokens);
  file_.emplace(path_);
}

void TokenFileWriter::append(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (id < 0 ||
        id >=
            info_.vocabulary_size)  // not check(): this runs for every token, and making a string costs more
      fail("token file {}: the id {} is outside the vocabulary of {}", path_.string(), id,
           info_.vocabulary_size);
    buffer_.push_back(static_cast<uint16_t>(id));
    if (buffer_.size() == buffer_tokens) flush();
  }
  info_.tokens += static_cast<int64_t>(ids.size());
}

void TokenFileWriter::count_text(int64_t bytes, int64_t documents) {
  info_.text_bytes += bytes;
  info_.documents += documents;
}

void TokenFileWriter::flush() {
  file_->write(buffer_.data(), buffer_.size() * sizeof(uint16_t));
  buffer_.clear();
}

void TokenFileWriter::finish() {
  check(file_.has_value(), "token file {}: was closed before", path_.string());
  check(info_.tokens > 0, "token file {}: there are no tokens to write; is the text empty?", path_.string());
  flush();
  file_->sync();
  const std::string text = to_json(info_);
  json_.emplace(token_file_json(path_));
  json_->write(text.data(), text.size());
  json_->sync();
}

// Invariant: a .json is never beside a .bin that it does not describe. So the old one goes first and the new
// one comes last; a kill in between leaves a .bin without .json, which open() refuses.
TokenFileInfo TokenFileWriter::close() {
  if (!json_) finish();
  os::remove_all(token_file_json(path_));
  file_->close();
  json_->close();
  file_.reset();
  json_.reset();
  return info_;
}

TokenFile TokenFile::open(const fs::path& path, int64_t vocabulary_size) {
  TokenFile file;
  file.path_ = path;
  const std::string name = path.string();
  const fs::path json_path = token_file_json(path);
  check(json_path != path, "token file {}: give the .bin file, not its .json", name);
  check(!fs::is_directory(path), "token file {}: is a directory; give the .bin file in it", name);
  file.mapping_ = os::Mapping(name);
  const std::byte* bytes = file.mapping_.bytes().data();
  const size_t size = file.mapping_.bytes().size();
  const auto json = read_json(json_path);

  size_t begin = 0;  // of the tokens, in bytes
  if (json) {
    file.info_ = *json;
    check(size == 2 * static_cast<uint64_t>(json->tokens),
          "token file {}: holds {} bytes, but {} says {} tokens of 2 bytes: truncated? {}", name, size,
          json_path.filename().string(), json->tokens, again);
    check(vocabulary_size == 0 || vocabulary_size == json->vocabulary_size,
          "token file {}: was made for a vocabulary of {}, not {}", name, json->vocabulary_size,
          vocabulary_size);
  } else {
    check(vocabulary_size != 0, "token file {}: {} is not beside it, so its vocabulary size must be given",
          name, json_path.filename().string());
    int32_t magic = 0;
    std::memcpy(&magic, bytes, std::min(size, sizeof magic));
    check(magic != LlmcHeader::magic_u32,
          "token file {}: its llm.c header says ids of 32 bits; only 16 can be read", name);
    if (magic == LlmcHeader::magic) {
      LlmcHeader header{};
      begin = sizeof header;
      check(size >= begin, "token file {}: {} bytes are less than llm.c's header of {}: truncated?", name,
            size, begin);
      std::memcpy(&header, bytes, begin);
      check(header.words[1] == 1, "token file {}: version {} of llm.c's format is not known, only version 1",
            name, header.words[1]);
      check(header.words[2] >= 0 && size - begin == 2 * static_cast<size_t>(header.words[2]),
            "token file {}: llm.c's header says {} tokens, but {} bytes follow it: truncated?", name,
            header.words[2], size - begin);
      check(size > begin, "token file {}: holds no tokens", name);
    }
    check(size % 2 == 0, "token file {}: {} bytes are no whole number of 2-byte tokens: truncated?", name,
          size);
    file.info_.vocabulary_size = vocabulary_size;
    file.info_.tokens = static_cast<int64_t>((size - begin) / 2);
  }
  check_vocabulary_size(file.info_.vocabulary_size, path);

  file.tokens_ = {reinterpret_cast<const uint16_t*>(bytes + begin), (size - begin) / 2};
  check(json || !look_wider(file.tokens_),
        "token file {}: its ids seem to be of 32 bits or more, as every second one of 16 is nearly zero; "
        "write them "
        "as u16",
        name);
  uint16_t largest = 0;
  for (const uint16_t id : file.tokens_)
    largest = std::max(largest, id);  // vectorises: as fast as the file is read
  if (largest >= file.info_.vocabulary_size) {
    const auto place = std::find(file.tokens_.begin(), file.tokens_.end(), largest) - file.tokens_.begin();
    fail("token file {}: token {} is the id {}, outside the vocabulary of {}", name, place, largest,
         file.info_.vocabulary_size);
  }
  return file;
}

// FNV-1a over words of four ids (Fowler, Noll, Vo): each step can be undone, so one id more, less or other is
// always another hash but where two changes cancel out.
std::string TokenFile::hash() const {
  uint64_t hash = 0xCBF29CE484222325u;
  const auto add = [&](uint64_t word) { hash = (hash ^ word) * 0x100000001B3u, hash ^= hash >> 29; };
  for (size_t at = 0; at < tokens_.size(); at += 4) {
    uint64_t word = 0;
    std::memcpy(&word, tokens_.data() + at, 2 * std::min<size_t>(4, tokens_.size() - at));
    add(word);
  }
  add(tokens_.size());
  return fmt::format("{:016x}", hash);
}

void check_same_tokenizer(const TokenFile& file, const std::string& tokenizer_hash) {
  const std::string& made_with = file.info().tokenizer_hash;
  check(made_with.empty() || made_with == tokenizer_hash,
        "token file {}: was made with the tokenizer {}, but this one is {}; make it again with `chapbook "
        "prepare`",
        file.path().string(), made_with, tokenizer_hash);
}

}  // namespace chapbook
