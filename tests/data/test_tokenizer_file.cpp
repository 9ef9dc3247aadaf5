// Tokenizers on disk: written, read back, and refused when anything is wrong with them.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "data/bpe_train.h"
#include "data/byte_alphabet.h"
#include "data/tokenizer_file.h"
#include "tensor/check.h"
#include "tensor/os/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
using nlohmann::json;
using std::filesystem::path;

namespace {

std::string read(const path& file) {
  std::ifstream stream(file, std::ios::binary);
  REQUIRE(stream.good());
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const path& file, std::string_view text) {
  std::filesystem::remove(file);  // ext4 syncs an overwritten file; thousands would take minutes
  std::ofstream(file, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

Tokenizer small_tokenizer() {
  return train_bpe("the cat \u00e9t\u00e9 sat on the mat, the \"cat\" \\ sat\n \u4f60\u597d the end", 275);
}

// The message of the Error that loading gives; "" if it loads; anything else it throws fails the test.
std::string refusal(const path& file) {
  try {
    load_tokenizer(file);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string refusal_of(const path& directory, const json& file) {
  write(directory / "x.json", file.dump());
  return refusal(directory / "x.json");
}

}  // namespace

TEST_CASE("tokenizer files: what is written is what is read, from either format") {
  const TemporaryDirectory place;
  const Tokenizer tokenizer = small_tokenizer();
  const path directory = place / "new";
  save_tokenizer(tokenizer, directory);
  CHECK(load_tokenizer(directory).hash() == tokenizer.hash());
  CHECK(load_tokenizer(directory / "tokenizer.json").hash() == tokenizer.hash());
  CHECK(load_vocabulary_and_merges(directory / "vocab.json", directory / "merges.txt").hash() ==
        tokenizer.hash());
  std::filesystem::remove(directory / "tokenizer.json");
  CHECK(load_tokenizer(directory).hash() == tokenizer.hash());
  CHECK(load_tokenizer(directory).end_of_text() == tokenizer.end_of_text());

  std::string merges = read(directory / "merges.txt");  // GPT-2's own has no version line
  REQUIRE(merges.starts_with("#version: 0.2\n"));
  write(directory / "merges.txt", merges.substr(merges.find('\n') + 1));
  CHECK(load_tokenizer(directory).hash() == tokenizer.hash());
  write(directory / "merges.txt", merges.substr(0, merges.size() - 1));  // no newline at the end
  CHECK(load_tokenizer(directory).hash() == tokenizer.hash());
}

TEST_CASE(
    "tokenizer files: both spellings of merges, added tokens beyond the vocabulary, harmless "
    "post-processors") {
  const TemporaryDirectory directory;
  const Tokenizer tokenizer = small_tokenizer();
  save_tokenizer(tokenizer, directory.path);
  json file = json::parse(read(directory / "tokenizer.json"));
  for (json& merge : file["model"]["merges"]) {
    const std::string line = merge;
    merge = {line.substr(0, line.find(' ')), line.substr(line.find(' ') + 1)};
  }
  file["model"]["vocab"].erase("<|endoftext|>");
  file["post_processor"] = {{"type", "TemplateProcessing"}, {"special_tokens", json::object()}};
  CHECK(refusal_of(directory.path, file) == "");
  CHECK(load_tokenizer(directory / "x.json").hash() == tokenizer.hash());
}

TEST_CASE("tokenizer files: merges.txt with Windows' line ends") {
  const TemporaryDirectory directory;
  const Tokenizer tokenizer = small_tokenizer();
  save_tokenizer(tokenizer, directory.path);
  std::filesystem::remove(directory / "tokenizer.json");
  std::string merges;
  for (const char letter : read(directory / "merges.txt")) (merges += letter == '\n' ? "\r" : "") += letter;
  write(directory / "merges.txt", merges);
  CHECK(load_tokenizer(directory.path).hash() == tokenizer.hash());
}

// The ids are those that transformers 5.24 gives for these files.
TEST_CASE("tokenizer files: special tokens beside vocab.json, and beside tokenizer.json") {
  const auto entry = [](const char* name) {
    return json{
        {"content", name}, {"lstrip", false}, {"rstrip", false}, {"single_word", false}, {"special", true}};
  };
  const struct {
    const char* file;
    json content;
    int32_t end, pad;  // as far behind the vocabulary; -1: not there
  } cases[] = {
      {"special_tokens_map.json", json::object(), -1, -1},
      {"added_tokens.json", {{"<|end|>", 275}, {"[pad]", 276}}, 0, 1},
      {"added_tokens.json", {{"<|end|>", 276}, {"[pad]", 275}}, 1, 0},
      {"special_tokens_map.json", {{"pad_token", "[pad]"}, {"eos_token", "<|end|>"}}, 0, 1},
      {"special_tokens_map.json",
       {{"eos_token", entry("<|end|>")}, {"additional_special_tokens", {"[pad]"}}},
       0,
       1},
      {"tokenizer_config.json",
       {{"extra_special_tokens", {"<|end|>", "[pad]"}}, {"unk_token", nullptr}},
       0,
       1},
      {"tokenizer_config.json",
       {{"eos_token", "<|end|>"},
        {"added_tokens_decoder",
         {{"274", entry("<|endoftext|>")}, {"276", entry("<|end|>")}, {"275", entry("[pad]")}}}},
       1,
       0},
  };
  for (const std::string with : {"vocab.json", "tokenizer.json"})
    for (const auto& [file, content, end, pad] : cases) {
      CAPTURE(with);
      CAPTURE(file);
      CAPTURE(content.dump());
      const TemporaryDirectory directory;
      save_tokenizer(small_tokenizer(), directory.path);
      std::filesystem::remove(directory / (with == "vocab.json" ? "tokenizer.json" : "vocab.json"));
      write(directory / file, content.dump());
      const Tokenizer tokenizer = load_tokenizer(directory.path);
      CHECK(tokenizer.vocabulary_size() == 275 + (end >= 0 ? 2 : 0));
      CHECK(tokenizer.end_of_text() == 274);
      const auto ids_of = [&](const char* text) { return tokenizer.encode(text, SpecialTokens::recognise); };
      CHECK(ids_of("<|endoftext|>") == std::vector<int32_t>{274});
      CHECK((ids_of("<|end|>") == std::vector<int32_t>{275 + end}) == (end >= 0));
      CHECK((ids_of("[pad]") == std::vector<int32_t>{275 + pad}) == (end >= 0));
      CHECK(tokenizer.decode(ids_of("x<|end|>y[pad]")) == "x<|end|>y[pad]");
    }
  const TemporaryDirectory directory;
  save_tokenizer(small_tokenizer(), directory.path);
  std::filesystem::remove(directory / "tokenizer.json");
  write(directory / "added_tokens.json", R"({"<|end|>": 300})");
  CHECK(refusal(directory.path).find("has id 300") != std::string::npos);
  write(directory / "added_tokens.json", R"({"<|end|>": "x"})");
  CHECK(refusal(directory.path).find("not a token id") != std::string::npos);
}

// What transformers 5.24 obeys in these files: with each of them it gives other ids.
TEST_CASE("tokenizer files: what the files beside ask for and Chapbook does not do is refused by its name") {
  const auto role = [](const char* setting) { return json{{"content", "<|end|>"}, {setting, true}}; };
  const char *config = "tokenizer_config.json", *map = "special_tokens_map.json";
  const struct {
    const char* file;
    json content;
    const char* says;
    bool also_with_json = true;  // else tokenizer.json says it
  } cases[] = {
      {config, {{"add_prefix_space", true}}, ": \"add_prefix_space\" is true"},
      {config, {{"add_bos_token", true}}, ": \"add_bos_token\" is true", false},
      {config, {{"add_eos_token", true}}, ": \"add_eos_token\" is true", false},
      {config, {{"eos_token", role("lstrip")}}, ": eos_token: \"<|end|>\": \"lstrip\" is true"},
      {map, {{"pad_token", role("rstrip")}}, ": pad_token: \"<|end|>\": \"rstrip\" is true"},
      {map, {{"unk_token", role("single_word")}}, ": unk_token: \"<|end|>\": \"single_word\" is true"},
      {map,
       {{"additional_special_tokens", {"<x>", role("lstrip")}}},
       ": additional_special_tokens: \"<|end|>\": \"lstrip\" is true"},
      {map, {{"pad_token", role("normalized")}}, ""},  // nothing here normalizes
      {config, {{"add_prefix_space", nullptr}, {"add_bos_token", false}}, ""},
  };
  for (const std::string with : {"vocab.json", "tokenizer.json"})
    for (const auto& [file, content, says, also_with_json] : cases) {
      CAPTURE(with);
      CAPTURE(content.dump());
      const TemporaryDirectory directory;
      save_tokenizer(small_tokenizer(), directory.path);
      std::filesystem::remove(directory / (with == "vocab.json" ? "tokenizer.json" : "vocab.json"));
      write(directory / file, content.dump());
      const std::string message = refusal(directory.path);
      const bool refused = *says && (also_with_json || with == "vocab.json");
      CHECK(message.starts_with(refused ? (directory / file) + says : ""));
      CHECK(message.empty() == !refused);
    }
}

TEST_CASE(
    "tokenizer files: a role makes a token of tokenizer.json special, but not one of a merge or a byte") {
  const TemporaryDirectory directory;
  const Tokenizer tokenizer = small_tokenizer();
  save_tokenizer(tokenizer, directory.path);
  auto file = json::parse(read(directory / "tokenizer.json"));
  const auto merged = tokenizer.merges().front();
  const std::string made = to_printable(std::string(tokenizer.token_bytes(merged.left)) +
                                        std::string(tokenizer.token_bytes(merged.right)));
  file["model"]["vocab"]["[pad]"] = tokenizer.vocabulary_size();
  write(directory / "tokenizer.json", file.dump());
  write(directory / "tokenizer_config.json",
        json{{"pad_token", "[pad]"}, {"sep_token", made}, {"cls_token", "a"}, {"bos_token", ""}}.dump());
  const Tokenizer loaded = load_tokenizer(directory.path);
  CHECK(loaded.vocabulary_size() == tokenizer.vocabulary_size() + 1);
  CHECK(loaded.is_special(tokenizer.vocabulary_size()));
  CHECK(loaded.special_ids().size() == tokenizer.special_ids().size() + 1);
  CHECK(refusal(directory / "tokenizer.json").find("no merge makes token 275") != std::string::npos);
}

TEST_CASE("tokenizer files: all of them are on the disk when they are saved") {
  const TemporaryDirectory directory;
  const os::Faults before = os::faults();
  save_tokenizer(small_tokenizer(), directory.path);
  CHECK(os::faults().writes - before.writes == 4);
  CHECK(os::faults().renames - before.renames == 4);
  CHECK(os::faults().syncs - before.syncs == 8);  // of the bytes and of the name
}

TEST_CASE("tokenizer files: missing files and directories are named") {
  const TemporaryDirectory directory;
  CHECK(refusal(directory / "none.json") ==
        "cannot read " + directory / "none.json" + ": No such file or directory");
  CHECK(refusal(directory.path) ==
        directory.path + ": this directory holds neither tokenizer.json nor vocab.json and merges.txt");
  write(directory / "file", "x");
  CHECK_THROWS_AS(save_tokenizer(small_tokenizer(), directory / "file"), Error);
  CHECK_THROWS_AS(save_tokenizer(small_tokenizer(), directory / "file/below"), Error);
}

TEST_CASE("tokenizer files: a tokenizer.json cut off anywhere is refused") {
  const TemporaryDirectory directory;
  save_tokenizer(small_tokenizer(), directory.path);
  const path file = directory / "tokenizer.json";
  const std::string text = read(file);
  for (size_t length = 0; length < text.size(); ++length) {
    write(file, std::string_view(text).substr(0, length));
    if (refusal(file).empty()) FAIL("accepted after " << length << " of " << text.size() << " bytes");
  }
}

TEST_CASE("tokenizer files: vocab.json or merges.txt cut off anywhere is refused") {
  const TemporaryDirectory directory;
  const Tokenizer tokenizer = small_tokenizer();
  save_tokenizer(tokenizer, directory.path);
  std::filesystem::remove(directory / "tokenizer.json");
  for (const char* name : {"vocab.json", "merges.txt"}) {
    const std::string text = read(directory / name);
    const size_t enough = text.size() - (text.back() == '\n');  // only the last newline may be missing
    for (size_t length = 0; length < enough; ++length) {
      write(directory / name, std::string_view(text).substr(0, length));
      if (refusal(directory.path).empty()) FAIL(name << " accepted after " << length << " bytes");
    }
    write(directory / name, text);
  }
}

TEST_CASE(
    "tokenizer files: a tokenizer.json that says something else is refused, and the message says what") {
  const TemporaryDirectory directory;
  save_tokenizer(small_tokenizer(), directory.path);
  const json good = json::parse(read(directory / "tokenizer.json"));
  REQUIRE(refusal_of(directory.path, good) == "");
  const int vocabulary_size = static_cast<int>(good["model"]["vocab"].size());

  struct Case {
    const char* message;  // part of it
    std::function<void(json&)> spoil;
  };
  const Case cases[] = {
      {"JSON object",
       [](json& file) {
         file = json::array({1, 2});
       }},
      {"\"model\" is missing", [](json& file) { file.erase("model"); }},
      {"\"model\" is number", [](json& file) { file["model"] = 3; }},
      {"\"vocab\" is array", [](json& file) { file["model"]["vocab"] = json::array(); }},
      {"\"vocab\" is missing", [](json& file) { file["model"].erase("vocab"); }},
      {"byte 0x00 has no token",
       [](json& file) {
         file["model"]["vocab"] = json::object();
         file["model"]["merges"] = json::array();
         file["added_tokens"] = json::array();
       }},
      {"\"merges\" is missing", [](json& file) { file["model"].erase("merges"); }},
      {"\"merges\" is object", [](json& file) { file["model"]["merges"] = json::object(); }},
      {"merge 0 is neither", [](json& file) { file["model"]["merges"][0] = 5; }},
      {"merge 0 is neither",
       [](json& file) {
         file["model"]["merges"][0] = json::array({"t", "h", "e"});
       }},
      {"merge 0 is neither",
       [](json& file) {
         file["model"]["merges"][0] = json::array({"t", 1});
       }},
      {"merge 1 (\"th\") is not two tokens", [](json& file) { file["model"]["merges"][1] = "th"; }},
      {"merge 1 (\"t h e\") is not two tokens", [](json& file) { file["model"]["merges"][1] = "t h e"; }},
      {"uses \"nonsense\", which is not in the vocabulary",
       [](json& file) { file["model"]["merges"][2] = "t nonsense"; }},
      {"(q q) makes a token that is not in the vocabulary",
       [](json& file) { file["model"]["merges"][2] = "q q"; }},
      {"is listed twice", [](json& file) { file["model"]["merges"][2] = file["model"]["merges"][1]; }},
      {"are merges missing?", [](json& file) { file["model"]["merges"].erase(3); }},
      {"is special or unknown",
       [](json& file) {
         file["model"]["merges"][0] = json::array({"<|endoftext|>", "t"});
       }},
      {"both have id 5", [](json& file) { file["model"]["vocab"]["!"] = 5; }},
      {"without gaps", [&](json& file) { file["model"]["vocab"]["!"] = vocabulary_size; }},
      {"not a token id", [](json& file) { file["model"]["vocab"]["!"] = -1; }},
      {"not a token id", [](json& file) { file["model"]["vocab"]["!"] = 0.5; }},
      {"not a token id", [](json& file) { file["model"]["vocab"]["!"] = "0"; }},
      {"not a token id", [](json& file) { file["model"]["vocab"]["!"] = 1e30; }},
      {"not a token id", [](json& file) { file["model"]["vocab"]["!"] = 4294967296; }},
      {"not a token id", [](json& file) { file["model"]["vocab"]["!"] = nullptr; }},
      {"byte alphabet",
       [](json& file) {
         file["model"]["vocab"].erase("!");
         file["model"]["vocab"]["\u4f60"] = 0;
       }},
      {"is empty",
       [](json& file) {
         file["model"]["vocab"].erase("!");
         file["model"]["vocab"][""] = 0;
       }},
      {"byte 0x21 has no token",
       [](json& file) {
         file["model"]["vocab"].erase("!");
         file["model"]["vocab"]["!!"] = 0;
       }},
      {"\"type\" is \"WordPiece\"", [](json& file) { file["model"]["type"] = "WordPiece"; }},
      {"\"dropout\" is 0.1", [](json& file) { file["model"]["dropout"] = 0.1; }},
      {"\"ignore_merges\"", [](json& file) { file["model"]["ignore_merges"] = true; }},
      {"\"end_of_word_suffix\"", [](json& file) { file["model"]["end_of_word_suffix"] = "</w>"; }},
      {"\"normalizer\"",
       [](json& file) {
         file["normalizer"] = {{"type", "NFC"}};
       }},
      {"\"pre_tokenizer\" is missing", [](json& file) { file.erase("pre_tokenizer"); }},
      {"\"pre_tokenizer\" is null", [](json& file) { file["pre_tokenizer"] = nullptr; }},
      {"only ByteLevel", [](json& file) { file["pre_tokenizer"]["type"] = "Whitespace"; }},
      {"add_prefix_space must be false",
       [](json& file) { file["pre_tokenizer"]["add_prefix_space"] = true; }},
      {"\"use_regex\"", [](json& file) { file["pre_tokenizer"]["use_regex"] = false; }},
      {"\"decoder\"", [](json& file) { file["decoder"] = 7; }},
      {"adds tokens",
       [](json& file) {
         file["post_processor"] = {{"type", "BertProcessing"}};
       }},
      {"\"added_tokens\" is not a list", [](json& file) { file["added_tokens"] = 1; }},
      {"\"content\" is missing", [](json& file) { file["added_tokens"][0].erase("content"); }},
      {"its id is missing", [](json& file) { file["added_tokens"][0].erase("id"); }},
      {"not a token id", [](json& file) { file["added_tokens"][0]["id"] = "last"; }},
      {"in the vocabulary", [](json& file) { file["added_tokens"][0]["id"] = 3; }},
      {"listed twice", [](json& file) { file["added_tokens"].push_back(file["added_tokens"][0]); }},
      {"only special tokens", [](json& file) { file["added_tokens"][0]["special"] = false; }},
      {"\"lstrip\"", [](json& file) { file["added_tokens"][0]["lstrip"] = true; }},
      {"without gaps",
       [&](json& file) {
         file["added_tokens"].push_back({{"content", "<x>"}, {"id", vocabulary_size + 1}, {"special", true}});
       }},
  };
  for (const Case& one : cases) {
    json file = good;
    one.spoil(file);
    const std::string message = refusal_of(directory.path, file);
    CAPTURE(one.message);
    CAPTURE(message);
    CHECK(message.find(one.message) != message.npos);
    CHECK(message.starts_with(directory / "x.json" + ": "));
    CHECK(message.find('\n') == message.npos);
  }
}

TEST_CASE("tokenizer files: brackets for which no stack would be deep enough") {
  const TemporaryDirectory directory;
  const std::string deep = std::string(300000, '[') + std::string(300000, ']');
  save_tokenizer(small_tokenizer(), directory.path);
  const std::string good = read(directory / "tokenizer.json");
  for (const std::string setting : {"\"normalizer\"", "\"dropout\""}) {
    std::string text = good;
    const size_t place = text.find(setting) + setting.size() + 2;
    REQUIRE(text.substr(place, 4) == "null");
    write(directory / "x.json", text.replace(place, 4, deep));
    CHECK(refusal(directory / "x.json").find(setting) != std::string::npos);
  }
}

TEST_CASE("tokenizer files: random damage never does worse than an Error") {
  const TemporaryDirectory directory;
  save_tokenizer(small_tokenizer(), directory.path);
  const std::string text = read(directory / "tokenizer.json");
  std::mt19937 random(4);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = text;
    for (int change = 0; change < 1 + i % 3; ++change) {
      damaged[random() % damaged.size()] =
          static_cast<char>(i % 2 == 0 ? random() : "\"{}[],:0 n"[random() % 10]);
    }
    write(directory / "x.json", damaged);
    refused += !refusal(directory / "x.json").empty();
  }
  CHECK(refused > 1000);
}
