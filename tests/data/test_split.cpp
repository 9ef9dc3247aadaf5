// Reading text as stories, and the split of stories into training and validation.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "data/split.h"
#include "data/stories.h"
#include "tensor/check.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

// A directory to write texts into.
struct Folder : TemporaryDirectory {
  fs::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(*this / name, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return *this / name;
  }
};

using Texts = std::vector<std::string>;

// Whole stories; the pieces of a long one are joined.
Texts read_all(const fs::path& path) {
  Texts stories;
  bool new_story = true;
  read_stories(path, [&](std::string_view text, bool ends_story) {
    CHECK(text.size() <= max_story_bytes);
    if (new_story) stories.emplace_back();
    stories.back() += text;
    new_story = ends_story;
  });
  CHECK(new_story);
  return stories;
}

Texts read_text(std::string_view text) {
  const Folder folder;
  return read_all(folder.write("x.txt", text));
}

template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string read_error(const fs::path& path) {
  return error_of([&] { read_all(path); });
}

}  // namespace

TEST_CASE("read_stories: stories end at the separator and at the end of the file") {
  CHECK(read_text("one") == Texts{"one"});
  CHECK(read_text("one\n<|endoftext|>\ntwo\n<|endoftext|>\n") == Texts{"one", "two"});
  CHECK(read_text("one\n<|endoftext|>\ntwo") == Texts{"one", "two"});
  CHECK(read_text("one<|endoftext|>two") == Texts{"one", "two"});
  CHECK(read_text("<|endoftext|>\n\n<|endoftext|> \nx\n<|endoftext|>\n") == Texts{"x"});
  CHECK(read_text("a\n\n  b\t c \n<|endoftext|>") == Texts{"a\n\n  b\t c"});  // white space inside is kept
  CHECK(read_text("one\r\ntwo\r\n<|endoftext|>\r\nthree\r\n") == Texts{"one\r\ntwo", "three"});
  CHECK(read_text("a <|endoftext| b <|endo") == Texts{"a <|endoftext| b <|endo"});
  CHECK(read_text(std::string_view("\1\xFF\x80", 3)) == Texts{std::string("\1\xFF\x80", 3)});
}

TEST_CASE("read_stories: separators across the blocks of the reader") {
  for (size_t length = (1 << 16) - 20; length < (1 << 16) + 5; ++length) {
    std::string one;
    while (one.size() < length) one += "word ";
    one.resize(length);
    one.back() = '.';
    CHECK(read_text(one + "\n<|endoftext|>\nnext") == Texts{one, "next"});
  }
}

TEST_CASE("read_stories: a giant story comes in pieces, cut before white space") {
  std::string book;
  for (int i = 0; book.size() < 300'000; ++i) book += (i % 9 ? " word" : "\n\nchapter") + std::to_string(i);
  book = book.substr(2);
  const Folder folder;
  const fs::path path = folder.write("x.txt", book + "\n<|endoftext|>\nshort\n");
  CHECK(read_all(path) == Texts{book, "short"});
  Texts pieces;
  read_stories(path, [&](std::string_view text, bool) { pieces.emplace_back(text); });
  CHECK(pieces.size() > 300'000 / max_story_bytes);
  CHECK(pieces.size() < 2 * 300'000 / max_story_bytes);
  for (size_t i = 1; i + 1 < pieces.size(); ++i) {
    CHECK((pieces[i][0] == ' ' || pieces[i][0] == '\n'));
    CHECK((pieces[i - 1].back() != ' ' && pieces[i - 1].back() != '\n'));
  }
}

TEST_CASE("read_stories: without white space the cut is between characters") {
  std::string story;
  while (story.size() < 100'000) story += "\xE2\x82\xAC";  // the euro sign
  const Folder folder;
  const fs::path path = folder.write("x.txt", story);
  CHECK(read_all(path) == Texts{story});
  read_stories(path, [&](std::string_view text, bool) { CHECK(text.size() % 3 == 0); });
  for (const char byte : {'x', '\x80', ' '}) {
    const std::string same = "a" + std::string(100'000, byte) + "b";
    CHECK(read_text(same) == Texts{same});
  }
  CHECK(read_text("a" + std::string(100'000, ' ') + "\n<|endoftext|>\nb").size() == 2);
}

TEST_CASE("read_stories: a directory is its .txt files in order") {
  const Folder folder;
  folder.write("b.txt", "two\n<|endoftext|>\nthree");
  folder.write("a.txt", "one");
  folder.write("c.md", "not this");
  fs::create_directory(fs::path(folder.path) / "d.txt");
  CHECK(read_all(folder.path) == Texts{"one", "two", "three"});
  CHECK(text_files(folder.path) ==
        std::vector<fs::path>{fs::path(folder.path) / "a.txt", fs::path(folder.path) / "b.txt"});
  CHECK(Text(folder.path).bytes() == 3 + 23);
}

TEST_CASE("read_stories: JSON Lines, a story a line") {
  const Folder folder;
  const auto read = [&](std::string_view lines) { return read_all(folder.write("x.jsonl", lines)); };
  CHECK(read(R"({"text": "one\n\"two\" \u00e9"})") == Texts{"one\n\"two\" \xC3\xA9"});
  CHECK(read("{\"text\": \"one\"}\r\n\n{\"n\": 1, \"story\": \"\\n\\ntwo\"}\n") == Texts{"one", "two"});
  CHECK(read(R"({"story": "a", "text": "b"})") == Texts{"b"});  // whichever comes first
  CHECK(read(R"({"text": null, "story": "a"})") == Texts{"a"});
  CHECK(read(R"({"text": "a<|endoftext|>b"})") == Texts{"a", "b"});
  std::string many;  // lines across the blocks of the reader, and one that is longer than a piece
  Texts stories;
  for (size_t i = 0; i < 3000; ++i) {
    stories.push_back("story " + std::to_string(i) + std::string(i == 5 ? 200'000 : i % 97, 'x'));
    many += "{\"text\": \"" + stories.back() + "\"}\n";
  }
  CHECK(read(many) == stories);
  CHECK_FALSE(Text(folder / "x.jsonl").one_document());
  folder.write("a.txt", "first");
  folder.write("y.jsonl", R"({"text": "last"})");
  stories.insert(stories.begin(), "first"), stories.push_back("last");
  CHECK(read_all(folder.path) == stories);
  CHECK(read_all(folder.write("lines", "\n \n{\"text\": \"one\"}\n")) ==
        Texts{"one"});  // known by the first with anything
}

TEST_CASE("read_stories: lines that are no JSON with a story in it") {
  const Folder folder;
  const auto error = [&](std::string_view lines) { return read_error(folder.write("x.jsonl", lines)); };
  const std::string name = "text " + (folder / "x.jsonl") + ": ";
  CHECK(error("{\"text\": \"a\"}\n\nonce upon a time\n") == name + "line 3 is not a JSON object");
  CHECK(error("[\"a\"]") == name + "line 1 is not a JSON object");
  CHECK(error("{\"text\": \"a") == name + "line 1 is not a JSON object");
  CHECK(error("{\"text\": \"\xFF\"}") == name + "line 1 is not a JSON object");
  CHECK(error(std::string(200'000, '[')) == name + "line 1 is not a JSON object");
  const std::string no_text = name + "line 1 has no text under the name \"text\" or \"story\", but ";
  CHECK(error(R"({"prompt": "a", "text": 3})") == no_text + "prompt, text; rename it, as with jq");
  CHECK(error("{}") == no_text + "nothing; rename it, as with jq");
  CHECK(error("\n\n") == name + "holds no text");
  CHECK(error("{\"text\": \"" + std::string(17 << 20, 'x')) ==
        name + "line 1 has more than 16 MB; a story a line is read");
}

TEST_CASE("read_stories: errors") {
  const Folder folder;
  const std::string name = "text " + folder.path;
  CHECK(read_error(folder.path) == name + ": the directory holds no .txt or .jsonl file");
  CHECK(read_error(fs::path(folder.path) / "no.txt") == name + "/no.txt: no such file or directory");
  CHECK(read_error(folder.write("empty.txt", "")) == name + "/empty.txt: holds no text");
  CHECK(read_error(folder.write("blank.txt", " \n<|endoftext|>\n\r\n")) ==
        name + "/blank.txt: holds no text");
}

TEST_CASE("read_stories: what is no text is refused by what it seems to be") {
  using namespace std::string_literals;
  const Folder folder;
  const std::string ascii = "Once upon a time there was a cat.\n";
  std::string utf16, tokens, late = std::string(100'000, 'x') + "\0y"s;
  for (const char letter : ascii) (utf16 += letter) += '\0';
  for (int i = 0; i < 300; ++i) (tokens += static_cast<char>(i * 7)) += static_cast<char>(i % 8);
  const std::pair<std::string, const char*> kinds[] = {
      {"\xff\xfe" + utf16, "UTF-16 text: make UTF-8 of it, with iconv"},
      {utf16, "UTF-16 text"},
      {"\xfe\xff"s + "\0x"s, "UTF-16 text"},
      {"\x1f\x8b\x08\0\0"s, "gzip data: unpack it first, with gunzip"},
      {"PK\x03\x04..", "a zip archive"},
      {"BZh91AY&SY..", "bzip2 data"},
      {"%PDF-1.7 ", "a PDF"},
      {"PAR1\x15\x04", "a Parquet table: write it as a .jsonl file first"},
      {"\x93NUMPY", "a NumPy array"},
      {"\x02\0\0\0\0\0\0\0{}"s, "a safetensors file"},
      {tokens, "a file of tokens or other numbers"},
      {late, "a file of tokens or other numbers"},
  };
  for (const auto& [bytes, is] : kinds) {
    const std::string error = read_error(folder.write("x.txt", bytes));
    CHECK_MESSAGE(error.starts_with("text " + (folder / "x.txt") + ": seems to be " + is), error);
  }
  for (const std::string& text : {"BZh, he said"s, "PK"s, "\xef\xbb\xbf with a mark"s, "caf\xe9 in Latin-1"s})
    CHECK(read_text(text) == Texts{text});
}

TEST_CASE("read_stories: what can be read only once is read once, and told again and again") {
  const Folder folder;
  const std::string pipe = folder / "pipe", text = "one\n<|endoftext|>\n" + std::string(200'000, 'x') + "\n";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << text; });
  const Text once{pipe};
  writer.join();
  CHECK(once.bytes() == static_cast<int64_t>(text.size()));
  for (int i = 0; i < 2; ++i) {
    std::string read;
    once.read([&](std::string_view piece, bool) { read += piece; });
    CHECK(read == "one" + std::string(200'000, 'x'));
  }
  CHECK_FALSE(once.one_document());
}

TEST_CASE(
    "read_stories: what is called neither .txt nor .jsonl, as a pipe is, says by its first line which it "
    "is") {
  const Folder folder;
  const std::string lines = "{\"text\": \"one\"}\n{\"story\": \"two\"}\n", pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const auto piped = [&](const std::string& text) {
    std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << text; });
    const Texts stories = read_all(pipe);
    writer.join();
    return stories;
  };
  CHECK(piped(lines) == Texts{"one", "two"});
  CHECK(piped("{one}\n" + lines) == Texts{"{one}\n" + lines.substr(0, lines.size() - 1)});
  const std::string long_line = "{\"text\": \"" + std::string(200'000, 'x') + "\"}";
  CHECK(piped(long_line + "\n" + lines) == Texts{std::string(200'000, 'x'), "one", "two"});
  CHECK(read_all(folder.write("stories.ndjson", lines)) == Texts{"one", "two"});
  CHECK_FALSE(Text(folder / "stories.ndjson").one_document());
  CHECK(read_all(folder.write("stories.txt", lines)) == Texts{lines.substr(0, lines.size() - 1)});
}

TEST_CASE("one document is known from several, and divided where a paragraph ends") {
  const Folder folder;
  const auto one = [&](const std::string& text) { return Text(folder.write("x.txt", text)).one_document(); };
  const std::string separator(story_separator);
  CHECK(one("a"));
  CHECK(one("a\n" + separator + "\n" + separator + " \n"));
  CHECK_FALSE(one("a\n" + separator + "\nb"));
  CHECK_FALSE(one("a\n" + separator + "\nb" + separator));
  for (size_t length = (1 << 16) - 15; length < (1 << 16) + 2; ++length)
    CHECK_FALSE(one(std::string(length, 'x') + separator + "y"));

  std::string book;
  for (int i = 0; book.size() < 100'000; ++i)
    book += "Sentence " + std::to_string(i) + (i % 10 == 9 ? ".\n\n" : i % 5 == 4 ? ".\n" : ". ");
  const auto halves = [&](const std::string& text, double share) {
    const auto [first, second] = Text(folder.write("x.txt", text)).divided(share);
    Texts result(2);
    first.read([&](std::string_view piece, bool) { result[0] += piece; });
    second.read([&](std::string_view piece, bool) { result[1] += piece; });
    return result;
  };
  const auto without = [](std::string text, char letter) {
    std::erase(text, letter);
    return text;
  };
  for (const double share : {0.02, 0.3}) {
    const Texts parts = halves(book, share);
    const std::string all = book.substr(0, book.find_last_not_of(" \n") + 1);
    CHECK(all.starts_with(parts[0]));
    CHECK(all.ends_with(parts[1]));
    CHECK(all.substr(parts[0].size(), all.size() - parts[0].size() - parts[1].size()) == "\n\n");
    CHECK(parts[1].size() > share * 90'000);
    CHECK(parts[1].size() < share * 110'000);
  }
  const Texts lines = halves(without(book, '\n') + "\nx\ny " + std::string(1000, 'z'), 0.01);
  CHECK((lines[1].starts_with("x\ny z") || lines[1].starts_with("y z")));
  const Texts letters = halves(without(without(book, '\n'), ' '), 0.1);
  CHECK(letters[0] + letters[1] == without(without(book, '\n'), ' '));
  std::string euros;
  while (euros.size() < 50'000) euros += "\xE2\x82\xAC";
  CHECK(halves(euros, 0.1)[1].size() % 3 == 0);
  CHECK(error_of([&] { halves("a", 0.1); }).find("too few to set 0 of them aside") != std::string::npos);
}

TEST_CASE("split: the hash is FNV-1a of the words with one space between them") {
  // As it always was: whoever splits a text again finds the same stories on the same sides.
  CHECK(story_hash("") == 0xCBF29CE484222325u);
  CHECK(story_hash("a") == 0xAF63DC4C8601EC8Cu);
  CHECK(story_hash(" foobar\n") == 0x85944171F73967E8u);
  const auto plain = [](std::string_view text) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    return hash;
  };
  CHECK(story_hash("\t one \r\n\ntwo\xFF\v three ") == plain("one two\xFF three"));
}

TEST_CASE("split: white space does not matter, every other byte does") {
  CHECK(story_hash("one two\nthree") == story_hash("  one \r\n two\t\tthree\n"));
  CHECK(story_hash("one two") != story_hash("onetwo"));
  CHECK(story_hash("one two") != story_hash("one twO"));
  CHECK(story_hash("") == story_hash(" \n"));
}

TEST_CASE("split: the fraction is kept, and a larger one only adds stories") {
  int validation = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    const std::string story = built_in_stories().story(0, i);
    const bool chosen = in_validation(story, 0.1);
    validation += chosen;
    if (chosen) REQUIRE(in_validation(story, 0.2));
    REQUIRE_FALSE(in_validation(story, 0));
    REQUIRE(in_validation(story, 1));
    REQUIRE(in_validation(" " + story + "\n", 0.1) == chosen);
  }
  CHECK((validation > 900 && validation < 1100));  // standard deviation 30
  int short_texts = 0;  // texts that differ in one digit, where FNV-1a alone is uneven
  for (int i = 0; i < 10000; ++i) short_texts += in_validation(std::to_string(i), 0.1);
  CHECK((short_texts > 900 && short_texts < 1100));
  CHECK(error_of([] { in_validation("x", 1.5); }) ==
        "the validation fraction must be between 0 and 1, not 1.5");
  CHECK(error_of([] { in_validation("x", -0.5); }) ==
        "the validation fraction must be between 0 and 1, not -0.5");
}

TEST_CASE("split: TinyStories are read as their README counts them") {
  const char* shared = std::getenv("CHAPBOOK_SHARED");
  const fs::path folder = fs::path(shared ? shared : CHAPBOOK_SOURCE_DIR "/../shared") / "tinystories";
  if (!fs::exists(folder / "train.txt")) {
    MESSAGE("NOT TESTED: there is no tinystories/train.txt in ../shared (or CHAPBOOK_SHARED)");
    return;
  }
  std::map<uint64_t, bool> side;  // of each story: no story is on both sides
  int64_t stories = 0, validation = 0;
  read_stories(folder / "train.txt", [&](std::string_view text, bool ends_story) {
    stories += ends_story;
    const bool chosen = in_validation(text, 0.05);
    validation += chosen;
    CHECK(side.emplace(story_hash(text), chosen).first->second == chosen);
  });
  CHECK(stories == 14802);
  CHECK((validation > 600 && validation < 880));
}
