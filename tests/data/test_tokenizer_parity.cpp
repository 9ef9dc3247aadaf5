// The same ids as tiktoken's and Hugging Face's GPT-2, the same merges as Hugging Face's trainer:
// tests/golden/tokenizer.json, made by tests/golden/tokenizer.py. GPT-2's files and the stories lie in
// ../shared, or where CHAPBOOK_SHARED says.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/bpe_train.h"
#include "data/byte_alphabet.h"
#include "data/tokenizer_file.h"

using namespace chapbook;
using nlohmann::json;
using std::filesystem::path;

namespace {

path shared() {
  const char* elsewhere = std::getenv("CHAPBOOK_SHARED");
  return elsewhere != nullptr ? path(elsewhere) : path(CHAPBOOK_SOURCE_DIR) / ".." / "shared";
}

bool present(const path& file) {
  const bool found = std::filesystem::exists(file);
  if (!found) MESSAGE("NOT RUN: " << file.string() << " is not there (set CHAPBOOK_SHARED)");
  return found;
}

std::string read(const path& file) {
  std::ifstream stream(file, std::ios::binary);
  REQUIRE(stream.good());
  return {std::istreambuf_iterator<char>(stream), {}};
}

const json& golden() {
  static const json numbers = json::parse(read(path(CHAPBOOK_SOURCE_DIR) / "tests/golden/tokenizer.json"));
  return numbers;
}

// FNV-1a over numbers; the same as in tests/golden/tokenizer.py.
struct Fnv {
  uint64_t value = 0xCBF29CE484222325u;
  void add(uint32_t number) { value = (value ^ number) * 0x100000001B3u; }
  void add(const std::string& text) {
    for (const char byte : text) add(static_cast<uint8_t>(byte));
  }
  void add(const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) add(static_cast<uint32_t>(id));
  }
  std::string text() const { return fmt::format("{:016x}", value); }
};

}  // namespace

TEST_CASE("parity: nasty strings have tiktoken's ids") {
  if (!present(shared() / "gpt2/vocab.json")) return;
  const Tokenizer tokenizer = load_tokenizer(shared() / "gpt2");
  CHECK(tokenizer.vocabulary_size() == 50257);
  CHECK(tokenizer.end_of_text() == 50256);
  for (const json& one : golden()["cases"]) {
    const std::string text = one[0];
    CAPTURE(one[0].dump());
    CHECK(tokenizer.encode(text, SpecialTokens::recognise) == one[1].get<std::vector<int32_t>>());
    CHECK(tokenizer.decode(one[1].get<std::vector<int32_t>>()) == text);
  }
  CHECK(golden()["cases"].size() > 500);
}

TEST_CASE("parity: every line of the stories has tiktoken's and Hugging Face's ids") {
  if (!present(shared() / "gpt2/vocab.json")) return;
  const Tokenizer tokenizer = load_tokenizer(shared() / "gpt2");
  for (const auto& [name, expected] : golden()["stories"].items()) {
    if (!present(shared() / "tinystories" / name)) continue;
    const std::string text = read(shared() / "tinystories" / name);
    Fnv lines, whole;
    int64_t count = 0;
    for (size_t begin = 0, end = 0; begin <= text.size(); begin = end + 1, ++count) {
      end = std::min(text.find('\n', begin), text.size());
      lines.add(
          tokenizer.encode(std::string_view(text).substr(begin, end - begin), SpecialTokens::recognise));
      lines.add(0xFFFFFFFFu);
    }
    const std::vector<int32_t> ids = tokenizer.encode(text, SpecialTokens::recognise);
    whole.add(ids);
    CHECK(count == expected["lines"]);
    CHECK(lines.text() == expected["ids_of_lines"].get<std::string>());
    CHECK(ids.size() == expected["tokens_of_file"]);
    CHECK(whole.text() == expected["ids_of_file"].get<std::string>());
    CHECK(tokenizer.decode(ids) == text);
  }
}

TEST_CASE("parity: the trainer learns Hugging Face's merges, with the same ids") {
  if (!present(shared() / "tinystories/valid.txt")) return;
  const std::string text = read(shared() / "tinystories/valid.txt");
  const json& expected = golden()["training"];
  const Tokenizer tokenizer = train_bpe(text, expected["vocabulary"], 2);
  CHECK(tokenizer.vocabulary_size() == expected["vocabulary"]);
  CHECK(tokenizer.hash() == train_bpe(text, expected["vocabulary"], 1).hash());
  std::vector<std::string> merges;
  Fnv merge_lines, tokens;
  for (const auto& [left, right] : tokenizer.merges()) {
    merges.push_back(to_printable(tokenizer.token_bytes(left)) + " " +
                     to_printable(tokenizer.token_bytes(right)));
    merge_lines.add(merges.back() + "\n");
  }
  for (int32_t id = 0; id < tokenizer.end_of_text(); ++id)
    tokens.add(to_printable(tokenizer.token_bytes(id)) + "\n");
  merges.resize(10);
  CHECK(merges == expected["first_merges"].get<std::vector<std::string>>());
  CHECK(merge_lines.text() == expected["merges"].get<std::string>());
  CHECK(tokens.text() == expected["tokens"].get<std::string>());
}
