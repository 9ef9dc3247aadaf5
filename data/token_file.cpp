#include "data/token_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "tensor/check.h"
#include "tensor/json.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little,
              "token files are mapped as they are: little-endian");

constexpr size_t buffer_tokens = size_t{1} << 16;
constexpr std::string_view again = "make it again with `chapbook prepare`";

// A file descriptor that closes itself.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

void write_all(int file, const void* data, size_t bytes, const fs::path& path) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(file, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    check(written >= 0, "token file {}: cannot be written: {}", path.string(), std::strerror(errno));
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

int create(const fs::path& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  check(file >= 0, "token file {}: cannot be created: {}", path.string(), std::strerror(errno));
  return file;
}

// In these, the call comes before the check: nobody knows in which order the arguments of a function are
// computed, and errno must be read last.
void sync(int file, const fs::path& path) {
  const int result = ::fsync(file);
  check(result == 0, "token file {}: cannot be synced: {}", path.string(), std::strerror(errno));
}

void move_into_place(const fs::path& from, const fs::path& to) {
  const int result = ::rename(from.c_str(), to.c_str());
  check(result == 0, "token file {}: cannot be renamed to {}: {}", from.string(), to.string(),
        std::strerror(errno));
}

std::string to_json(const TokenFileInfo& info) {
  const nlohmann::ordered_json json = {{"format", "u16 little-endian"},
                                       {"vocabulary_size", info.vocabulary_size},
                                       {"tokens", info.tokens},
                                       {"documents", info.documents},
                                       {"text_bytes", info.text_bytes},
                                       {"text", info.text},
                                       {"tokenizer_hash", info.tokenizer_hash}};
  // A file name may hold bytes that are not UTF-8.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// Nothing when there is no such file.
std::optional<TokenFileInfo> read_json(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto json = nlohmann::json::parse(text, shallow, /*allow_exceptions=*/false);
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
  return info;
}

void check_vocabulary_size(int64_t size, const fs::path& path) {
  check(size >= 1 && size <= max_vocabulary_size,
        "token file {}: a vocabulary of {} does not fit its u16 ids, which count to {}", path.string(), size,
        max_vocabulary_size);
}

// llm.c's header: magic, version, number of tokens, zeros.
struct LlmcHeader {
  static constexpr int32_t magic = 20240520;
  int32_t words[256];
};

}  // namespace

fs::path token_file_json(const fs::path& path) { return fs::path(path).replace_extension(".json"); }

TokenFileWriter::TokenFileWriter(fs::path path, TokenFileInfo info)
    : path_(std::move(path)), part_(path_.string() + ".part"), info_(std::move(info)) {
  check(path_.extension() == ".bin", "token file {}: the name must end in .bin", path_.string());
  check_vocabulary_size(info_.vocabulary_size, path_);
  info_.tokens = info_.documents = info_.text_bytes = 0;
  buffer_.reserve(buffer_tokens);
  file_ = create(part_);
}

TokenFileWriter::~TokenFileWriter() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(part_.c_str());
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
  write_all(file_, buffer_.data(), buffer_.size() * sizeof(uint16_t), part_);
  buffer_.clear();
}

// Invariant: a .json is never beside a .bin that it does not describe. So the old one goes first and the new
// one comes last; a kill in between leaves a .bin without .json, which open() refuses.
TokenFileInfo TokenFileWriter::close() {
  check(file_ >= 0, "token file {}: was closed before", path_.string());
  check(info_.tokens > 0, "token file {}: there are no tokens to write; is the text empty?", path_.string());
  flush();
  sync(file_, part_);

  const fs::path json = token_file_json(path_), json_part = json.string() + ".part";
  const std::string text = to_json(info_);
  try {
    const Descriptor file{create(json_part)};
    write_all(file.number, text.data(), text.size(), json_part);
    sync(file.number, json_part);
    ::unlink(json.c_str());
    move_into_place(part_, path_);
    move_into_place(json_part, json);
  } catch (...) {
    ::unlink(json_part.c_str());
    throw;
  }
  ::close(std::exchange(file_, -1));

  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  const Descriptor directory{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.number >= 0) ::fsync(directory.number);  // some file systems cannot sync a directory
  return info_;
}

TokenFile TokenFile::open(const fs::path& path, int64_t vocabulary_size) {
  TokenFile file;
  file.path_ = path;
  const std::string name = path.string();
  const fs::path json_path = token_file_json(path);
  check(json_path != path, "token file {}: give the .bin file, not its .json", name);
  file.map();
  const auto* bytes = static_cast<const std::byte*>(file.mapping_);
  const size_t size = file.mapping_bytes_;
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

void TokenFile::map() {
  const std::string name = path_.string();
  const Descriptor file{
      ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // never waits for a pipe's writer
  check(file.number >= 0, "token file {}: cannot be opened: {}", name, std::strerror(errno));
  struct stat status {};
  const int result = ::fstat(file.number, &status);
  check(result == 0, "token file {}: {}", name, std::strerror(errno));
  check(!S_ISDIR(status.st_mode), "token file {}: is a directory; give the .bin file in it", name);
  check(S_ISREG(status.st_mode), "token file {}: is not a regular file", name);
  check(status.st_size > 0, "token file {}: is empty", name);
  const auto bytes = static_cast<size_t>(status.st_size);
  void* memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.number, 0);
  check(memory != MAP_FAILED, "token file {}: cannot be mapped: {}", name, std::strerror(errno));
  mapping_ = memory;
  mapping_bytes_ = bytes;
}

void TokenFile::unmap() {
  if (mapping_) ::munmap(mapping_, mapping_bytes_);
  mapping_ = nullptr;
}

TokenFile::~TokenFile() { unmap(); }

TokenFile::TokenFile(TokenFile&& other) noexcept { *this = std::move(other); }

TokenFile& TokenFile::operator=(TokenFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  path_ = std::move(other.path_);
  info_ = std::move(other.info_);
  tokens_ = std::exchange(other.tokens_, {});
  mapping_ = std::exchange(other.mapping_, nullptr);
  mapping_bytes_ = std::exchange(other.mapping_bytes_, 0);
  return *this;
}

void check_same_tokenizer(const TokenFile& file, const std::string& tokenizer_hash) {
  const std::string& made_with = file.info().tokenizer_hash;
  check(made_with.empty() || made_with == tokenizer_hash,
        "token file {}: was made with the tokenizer {}, but this one is {}; make it again with `chapbook "
        "prepare`",
        file.path().string(), made_with, tokenizer_hash);
}

}  // namespace chapbook
