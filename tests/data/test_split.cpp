// Reading text as stories, and the split of stories into training and validation.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
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
  CHECK(read_text(std::string_view("\0\xFF\x80", 3)) == Texts{std::string("\0\xFF\x80", 3)});
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
  CHECK(text_size(folder.path) == 3 + 23);
}

TEST_CASE("read_stories: errors") {
  const Folder folder;
  const std::string name = "text " + folder.path;
  CHECK(read_error(folder.path) == name + ": the directory holds no .txt file");
  CHECK(read_error(fs::path(folder.path) / "no.txt") == name + "/no.txt: no such file or directory");
  CHECK(read_error(folder.write("empty.txt", "")) == name + "/empty.txt: holds no text");
  CHECK(read_error(folder.write("blank.txt", " \n<|endoftext|>\n\r\n")) ==
        name + "/blank.txt: holds no text");
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
