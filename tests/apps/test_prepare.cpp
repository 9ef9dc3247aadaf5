#include <doctest/doctest.h>

#include <filesystem>

#include "apps/run/corpus.h"
#include "apps/run/run.h"
#include "data/tokenizer_file.h"
#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

// All stories of a token file, as text.
static std::vector<std::string> stories_of(const std::string& directory, const std::string& name) {
  const Tokenizer tokenizer = load_tokenizer(directory + "/tokenizer");
  const TokenFile file = TokenFile::open(directory + "/" + name + ".bin");
  check_same_tokenizer(file, tokenizer.hash());
  std::vector<std::string> stories(1);
  for (const uint16_t id : file.tokens()) {
    if (id == tokenizer.end_of_text())
      stories.emplace_back();
    else
      stories.back() += tokenizer.token_bytes(id);
  }
  CHECK(stories.back().empty());  // the last story has its end too
  stories.pop_back();
  return stories;
}

TEST_CASE("built-in stories: every one is in the files, once, on one side") {
  const TemporaryDirectory directory;
  const Prepared prepared = prepare({.train = built_in_source(300, 7),
                                     .valid_share = 0.1,
                                     .vocabulary = 600,
                                     .directory = directory / "tokens"});
  const auto train = stories_of(directory / "tokens", "train"),
             valid = stories_of(directory / "tokens", "valid");
  CHECK(prepared.train.documents == static_cast<int64_t>(train.size()));
  CHECK(prepared.train.vocabulary_size == 600);
  CHECK(prepared.train.text == "built-in stories");
  CHECK(valid.size() > 10);
  CHECK(valid.size() < 60);
  size_t next_train = 0, next_valid = 0, bytes = 0;
  built_in_source(300, 7).read([&](std::string_view story, bool) {
    const bool aside = in_validation(story, 0.1);
    CHECK((aside ? valid.at(next_valid++) : train.at(next_train++)) == story);
    bytes += story.size();
  });
  CHECK(next_train == train.size());
  CHECK(next_valid == valid.size());
  CHECK(prepared.train.text_bytes + prepared.valid.text_bytes == static_cast<int64_t>(bytes));
}

TEST_CASE("the tokenizer learns from the training side only") {
  const TemporaryDirectory directory;
  const TextSource all = built_in_source(300, 7);
  const Prepared prepared =
      prepare({.train = all, .valid_share = 0.5, .vocabulary = 600, .directory = directory / "tokens"});
  const TextSource train_side = {"", 0, [&](const StorySink& sink) {
                                   all.read([&](std::string_view story, bool ends_story) {
                                     if (!in_validation(story, 0.5)) sink(story, ends_story);
                                   });
                                 }};
  CHECK(prepared.train.tokenizer_hash == learn_tokenizer(train_side, 600).hash());
  CHECK(prepared.train.tokenizer_hash != learn_tokenizer(all, 600).hash());
}

TEST_CASE("a text of several blocks is encoded once") {
  const TemporaryDirectory directory;
  int64_t bytes = 0;
  const TextSource long_text = {"long", 0, [&](const StorySink& sink) {
                                  std::string story;
                                  for (int i = 0; i < 2500; ++i) story += "cat ";
                                  story.back() = '.';  // white space at the end would be dropped by a reader
                                  bytes = 0;
                                  for (int i = 0; i < 2000; ++i, bytes += 10'000) sink(story, true);
                                }};
  const Prepared prepared = prepare({.train = long_text,
                                     .valid = built_in_source(2, 1),
                                     .valid_share = 0,
                                     .vocabulary = 300,
                                     .directory = directory / "tokens"});
  CHECK(bytes > 16 << 20);  // two blocks and more
  CHECK(prepared.train.documents == 2000);
  CHECK(prepared.train.text_bytes == bytes);
  CHECK(prepared.valid.documents == 2);
}

TEST_CASE("one and two threads write the same bytes") {
  const TemporaryDirectory directory;
  const int before = thread_pool().threads();
  for (const int threads : {1, 2}) {
    thread_pool().set_threads(threads);
    prepare({.train = built_in_source(200, 1),
             .valid_share = 0.1,
             .vocabulary = 500,
             .directory = directory / std::to_string(threads)});
  }
  thread_pool().set_threads(before);
  for (const char* name : {"/train.bin", "/valid.bin", "/tokenizer/tokenizer.json"})
    CHECK(read_file(directory / "1" + name) == read_file(directory / "2" + name));
}

TEST_CASE("a book has its end set aside, and a few stories one of them") {
  const TemporaryDirectory directory;
  std::string book, stories;
  for (int i = 0; book.size() < 50'000; ++i)
    book += "Sentence " + std::to_string(i) + (i % 5 == 4 ? ".\n\n" : ". ");
  for (int i = 0; i < 5; ++i) stories += "The story of cat " + std::to_string(i) + ".\n<|endoftext|>\n";
  write_file(directory / "book.txt", book);
  write_file(directory / "stories.txt", stories);
  const auto prepared = [&](const std::string& name, double share) {
    return prepare({.train = text_source(directory / (name + ".txt")),
                    .valid_share = share,
                    .vocabulary = 300,
                    .directory = directory / name});
  };
  const Prepared of_book = prepared("book", 0.1);
  CHECK(of_book.train.text == of_book.valid.text);
  CHECK(of_book.valid.text_bytes > 4'500);
  CHECK(of_book.valid.text_bytes < 5'500);
  CHECK(of_book.train.text_bytes + of_book.valid.text_bytes > static_cast<int64_t>(book.size()) - 10);
  CHECK(book.find(stories_of(directory / "book", "valid").at(0)) != std::string::npos);
  for (const size_t size : {50'000, 300'000}) {  // with the share that commands begin with
    while (book.size() < size) book += book;
    write_file(directory / "longer.txt", book.substr(0, size));
    const Prepared longer = prepared("longer", usual_valid_share);
    CHECK(longer.valid.text_bytes > static_cast<int64_t>(size) / 100);
    CHECK(longer.valid.text_bytes < static_cast<int64_t>(size) / 25);
  }
  const Prepared of_stories = prepared("stories", 0.02);
  CHECK(of_stories.valid.documents == 1);
  CHECK(of_stories.train.documents == 4);
}

TEST_CASE("text that cannot be split, or is not there, leaves no token files") {
  const TemporaryDirectory directory;
  write_file(directory / "one.txt", "a");
  write_file(directory / "empty.txt", "");
  const auto prepare_text = [&](const std::string& name) {
    prepare({.train = text_source(directory / name),
             .valid_share = 0.1,
             .vocabulary = 300,
             .directory = directory / "tokens"});
  };
  for (const char* name : {"one.txt", "empty.txt", "none.txt"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(prepare_text(name), Error);
    CHECK_THROWS_AS(read_file(directory / "tokens/train.bin"), Error);
    CHECK_THROWS_AS(read_file(directory / "tokens/valid.bin"), Error);
  }
}

TEST_CASE("token files that are prepared anew are the old ones or the new ones, at whatever call it fails") {
  const auto prepare_in = [](const std::string& out, int64_t stories, const std::string& tokenizer) {
    prepare({.train = built_in_source(stories, 1),
             .valid_share = 0.1,
             .tokenizer = tokenizer,
             .vocabulary = 300,
             .directory = out});
  };
  const TemporaryDirectory directory;
  prepare_in(directory / "other", 60, "");
  for (const std::string& tokenizer : {std::string(), directory / "other/tokenizer"}) {
    const std::string out = directory / ("out" + std::to_string(tokenizer.size()));
    const auto documents = [&] {
      const TrainingData data = open_training_data(out);
      return data.train.info().documents + data.valid.info().documents;
    };
    int64_t refused = 0;
    for (int64_t n = 1;; ++n) {
      CAPTURE(n);
      prepare_in(out, 50, tokenizer);
      os::faults() = {.fail_at = n};
      bool failed = false;
      try {
        prepare_in(out, 100, tokenizer);
      } catch (const Error&) {
        failed = true;
      }
      os::faults() = {};
      try {
        const int64_t there = documents();
        CHECK((there == 50 || there == 100));
        if (fs::exists(out + "/text.json")) {
          const Json facts = parse_json(read_file(out + "/text.json"));
          CHECK(facts["train"]["stories"].get<int64_t>() + facts["valid"]["stories"].get<int64_t>() == there);
        }
        CHECK((failed || there == 100));
      } catch (const Error&) {  // in the middle of the renames: not one of both sides
        ++refused;
      }
      if (!failed) break;
    }
    CHECK(refused <= 16);  // syncs and renames of two files, their .json, and the tokenizer's directory
    MESSAGE(refused << " faults left token files that are refused");
  }
}

TEST_CASE("a directory is prepared by one at a time") {
  const TemporaryDirectory directory;
  make_directory(directory / "tokens");
  const auto prepare_stories = [&] {
    prepare({.train = built_in_source(50, 1),
             .valid_share = 0.1,
             .vocabulary = 300,
             .directory = directory / "tokens"});
  };
  {
    const os::File other = os::File::to_lock(directory / "tokens/lock", "x");
    CHECK_THROWS_WITH_AS(prepare_stories(), doctest::Contains("tokens' is in use by process"), Error);
    CHECK_FALSE(fs::exists(directory / "tokens/train.bin"));
  }
  prepare_stories();
  CHECK(fs::exists(directory / "tokens/train.bin"));
  CHECK_FALSE(fs::exists(directory / "tokens/lock"));
  // The tokenizer's directory is replaced, but not with what others have put there.
  prepare_stories();
  write_file(directory / "tokens/tokenizer/notes", "mine");
  CHECK_THROWS_WITH_AS(prepare_stories(), doctest::Contains("holds 'notes'"), Error);
  CHECK(read_file(directory / "tokens/tokenizer/notes") == "mine");
  fs::remove_all(directory / "tokens/tokenizer");
  write_file(directory / "tokens/tokenizer", "mine");
  CHECK_THROWS_WITH_AS(prepare_stories(), doctest::Contains("is a file"), Error);
  CHECK(read_file(directory / "tokens/tokenizer") == "mine");
}

TEST_CASE("duplicates, leaks and mojibake are counted, and dropped or mended where that is asked for") {
  const TemporaryDirectory directory;
  write_file(directory / "train.txt",
             "A cat sat.\n<|endoftext|>\nA  cat\nsat.\n<|endoftext|>\nIt\u00E2\u20AC\u2122s a "
             "dog.\n<|endoftext|>\nA cow.");
  write_file(directory / "valid.txt", "A hen.\n<|endoftext|>\nA cow.\n<|endoftext|>\nA hen.\n");
  for (const bool mend : {false, true}) {
    CAPTURE(mend);
    const std::string out = directory / (mend ? "mended" : "as_it_is");
    const Prepared prepared = prepare({.train = text_source(directory / "train.txt"),
                                       .valid = text_source(directory / "valid.txt"),
                                       .vocabulary = 300,
                                       .directory = out,
                                       .drop_duplicates = mend,
                                       .repair = mend});
    CHECK(prepared.train_facts.duplicates == 1);
    CHECK(prepared.train_facts.mojibake == 1);
    CHECK(prepared.valid_facts.duplicates == 1);
    CHECK(prepared.valid_facts.leaked == 1);
    CHECK(prepared.train_facts.stories == prepared.train.documents);
    CHECK(prepared.train_facts.tokens == prepared.train.tokens);
    const auto train = stories_of(out, "train");
    if (mend)
      CHECK(train == std::vector<std::string>{"A cat sat.", "It\u2019s a dog.", "A cow."});
    else
      CHECK(train ==
            std::vector<std::string>{"A cat sat.", "A  cat\nsat.", "It\u00E2\u20AC\u2122s a dog.", "A cow."});
    CHECK(stories_of(out, "valid").size() == (mend ? 2 : 3));
    CHECK(read_file(out + "/text.json").find("\"leaked\": 1") != std::string::npos);
    CHECK(read_file(out + "/lengths.svg").ends_with("</svg>\n"));
  }
}

TEST_CASE("the hash of a text changes with a word, and not with a line's end") {
  const TemporaryDirectory directory;
  const auto hash = [&](const std::string& text) {
    write_file(directory / "text.txt", text);
    return prepare({.train = text_source(directory / "text.txt"),
                    .valid = text_source(directory / "text.txt"),
                    .vocabulary = 300,
                    .directory = directory / "tokens"})
        .train_facts.hash;
  };
  CHECK(hash("A cat.\n<|endoftext|>\nA dog.") == hash("A cat.\r\n<|endoftext|>\r\nA\ndog."));
  CHECK(hash("A cat.\n<|endoftext|>\nA dog.") != hash("A cat.\n<|endoftext|>\nA cow."));
  CHECK(hash("A cat.\n<|endoftext|>\nA dog.") != hash("A dog.\n<|endoftext|>\nA cat."));
}
