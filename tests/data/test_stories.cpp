// The story grammar: its language on small grammars, its errors, and what the built-in stories must be like.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "data/stories.h"
#include "tensor/check.h"

using namespace chapbook;

namespace {

std::string first_story(std::string_view grammar) { return StoryGrammar(grammar).story(0, 0); }

std::string error_of(std::string_view grammar) {
  try {
    first_story(grammar);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::set<std::string> many_stories(std::string_view grammar) {
  const StoryGrammar stories(grammar);
  std::set<std::string> all;
  for (uint64_t i = 0; i < 400; ++i) all.insert(stories.story(1, i));
  return all;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::vector<std::string> built_in(int64_t count, uint64_t seed) {
  std::vector<std::string> stories;
  write_stories(count, seed, [&](std::string_view story) { stories.emplace_back(story); });
  return stories;
}

}  // namespace

TEST_CASE("story grammar: every alternative is told, nested and empty ones too") {
  const std::set<std::string> expected = {"x a y", "x b c y", "x b d y", "x y"};
  CHECK(many_stories("plot p:\n  x [a|b [c|d]|] y\n") == expected);
}

TEST_CASE("story grammar: braces keep a word, angle brackets draw anew") {
  const std::set<std::string> kept = {"ball ball Ball", "kite kite Kite"};
  CHECK(many_stories("toy: ball | kite\nplot p:\n  {toy} {toy} {Toy}\n") == kept);
  const std::set<std::string> anew = {"ball ball", "ball kite", "kite ball", "kite kite"};
  CHECK(many_stories("toy: ball | kite\nplot p:\n  <toy> <toy>\n") == anew);
}

TEST_CASE("story grammar: roles of one list differ") {
  const std::set<std::string> expected = {"ball kite", "kite ball"};
  CHECK(many_stories("toy: ball | kite\ntoy2 = toy\nplot p:\n  {toy} {toy2}\n") == expected);
}

TEST_CASE("story grammar: lists that go together keep together, whichever is used first") {
  const std::set<std::string> expected = {"splash sea", "boom storm"};
  CHECK(many_stories("fear: sea | storm\nnoise with fear: splash | boom\nplot p:\n  {noise} {fear}\n") ==
        expected);
}

TEST_CASE("story grammar: pronouns follow the person") {
  const std::string_view people = "name she: Mia\nname he: Ben\nfriend = name\n";
  const std::set<std::string> expected = {"Mia she her her herself girl She; Ben: he",
                                          "Ben he him his himself boy He; Mia: she"};
  CHECK(many_stories(std::string(people) +
                     "plot p:\n  {name} {he} {him} {his} {himself} {child} {He}; {friend}: {friend.he}\n") ==
        expected);
}

TEST_CASE("story grammar: spaces, paragraphs, articles, comments") {
  CHECK(first_story("# a comment\nplot p:\n\n  One  a\n  owl [|]\n  a cat.\n\n\n  [|]\n\n  A apple,  banana "
                    "ant.\n\n") == "One an owl a cat.\n\nAn apple, banana ant.");
}

TEST_CASE("story grammar: errors name the place") {
  CHECK(error_of("") == "story grammar: there is no plot");
  CHECK(error_of("toy: ball\n") == "story grammar: there is no plot");
  CHECK(error_of("plot p:\n  {toyy}\n") == "story grammar: plot p: there is no list for \"toyy\"");
  CHECK(error_of("plot p:\n  [a|<toyy>]\n") == "story grammar: plot p: there is no list for \"toyy\"");
  CHECK(error_of("plot p:\n  {}\n") == "story grammar: plot p: there is no list for \"\"");
  CHECK(error_of("plot p:\n  {He}\n") == "story grammar: plot p: there is no list for \"He\"");
  CHECK(error_of("toy: {x}\nplot p:\n  x\n") == "story grammar: toy: there is no list for \"x\"");
  CHECK(error_of("name he: Ben\nplot p:\n  {name.hat}\n") ==
        "story grammar: plot p: \"name.hat\" asks for an unknown form");
  CHECK(error_of("plot p:\n  [a\n") == "story grammar: plot p: \"[\" without \"]\"");
  CHECK(error_of("plot p:\n  a]\n") == "story grammar: plot p: \"]\" without \"[\"");
  CHECK(error_of("plot p:\n  {a\n") == "story grammar: plot p: \"{\" is not closed");
  CHECK(error_of("plot p:\nforgot to indent\n") ==
        "story grammar: \"forgot to indent\" is no list, role or plot (is the indent missing?)");
  CHECK(error_of("  lost\n") == "story grammar: \"lost\" belongs to no list or plot");
  CHECK(error_of("toy: ball |\nplot p:\n  x\n") == "story grammar: the list \"toy\" has an empty word");
  CHECK(error_of("toy2 = toy\nplot p:\n  x\n") ==
        "story grammar: the role \"toy2\" wants the list \"toy\", which is not there");
  CHECK(error_of("a: b\nc with d: e\nplot p:\n  x\n") ==
        "story grammar: \"c\" goes with \"d\", which is not there");
  CHECK(error_of("a: b\nc with a: e | f\nplot p:\n  x\n") ==
        "story grammar: \"c\" has 2 words, but \"a\" has 1");
  CHECK(error_of("a: {b}\nb: {a}\nplot p:\n  {a}\n").starts_with("story grammar: a list is made of itself"));
  CHECK(error_of("a: b\na2 = a\nplot p:\n  {a} {a2}\n") ==
        "story grammar: the list of \"a2\" has too few words for its roles");
  CHECK(error_of("toy it: ball\nplot p:\n  x\n") ==
        "story grammar: \"toy it: ...\" should be \"toy he\", \"toy she\" or \"toy with LIST\"");
}

TEST_CASE("built-in stories: the same everywhere, and each by itself") {
  CHECK(built_in_stories().plots().size() >= 12);
  CHECK(built_in(20, 3) == built_in(20, 3));
  CHECK(built_in(20, 3) != built_in(20, 4));
  CHECK(built_in(20, 3)[19] == built_in_stories().story(3, 19) + "\n<|endoftext|>\n");
}

TEST_CASE("built-in stories: hardly any occurs twice, and the words are a few hundred") {
  const auto stories = built_in(10000, 0);
  CHECK(std::set<std::string>(stories.begin(), stories.end()).size() >= 9900);
  std::set<std::string> vocabulary;
  for (const auto& story : stories) {
    for (auto& word : words_of(story)) vocabulary.insert(std::move(word));
  }
  MESSAGE("distinct words: " << vocabulary.size());
  CHECK(vocabulary.size() >= 300);
  CHECK(vocabulary.size() <= 1500);
}

TEST_CASE("built-in stories: clean text of a small size") {
  for (const auto& told : built_in(5000, 2)) {
    INFO(told);
    const std::string text = told.substr(0, told.size() - 15);
    REQUIRE(told.substr(text.size()) == "\n<|endoftext|>\n");
    const int64_t sentence_ends =
        std::count_if(text.begin(), text.end(), [](char c) { return c == '.' || c == '!' || c == '?'; });
    CHECK((sentence_ends >= 5 && sentence_ends <= 24));
    CHECK((text.size() >= 250 && text.size() <= 1200));
    CHECK(std::count(text.begin(), text.end(), '"') % 2 == 0);
    CHECK(text.find_first_of("[]{}<>|\t\r") == text.npos);
    for (const char* wrong : {"  ", " .", " ,", "..", ".,", "!.", "?.", ",.", " \n", "\n\n\n", "\n "})
      CHECK(text.find(wrong) == text.npos);
    CHECK(std::isupper(static_cast<unsigned char>(text[0] == '"' ? text[1] : text[0])));
    CHECK(std::string_view(".!?\"").find(text.back()) != std::string_view::npos);
    for (size_t i = 0; i + 2 < text.size(); ++i) {  // a sentence begins with a capital letter
      if (std::string_view(".!?").find(text[i]) == std::string_view::npos ||
          !std::isspace(static_cast<unsigned char>(text[i + 1])))
        continue;
      const size_t next = text.find_first_not_of(" \n\"", i + 1);
      CHECK(std::isupper(static_cast<unsigned char>(text[next])));
    }
    const auto words = words_of(text);
    for (size_t i = 0; i + 1 < words.size(); ++i) {
      const bool vowel = std::string_view("aeiou").find(words[i + 1][0]) != std::string_view::npos;
      if (words[i] == "a") CHECK_FALSE(vowel);
      if (words[i] == "an") CHECK(vowel);
      // Vowels that sound like a consonant would need "a": the grammar has no such word after an article.
      for (const char* odd : {"one", "once", "uni", "use", "eu", "hour", "honest"}) {
        if (words[i] == "a" || words[i] == "an") CHECK_FALSE(words[i + 1].starts_with(odd));
      }
    }
  }
}

TEST_CASE("built-in stories: nobody changes between he and she") {
  // With the same words but only "he" persons, nothing of "she" may be told: no plot names a pronoun by
  // itself.
  std::string words(story_words);
  for (const std::string list : {"name she:", "elder she:"}) {
    const size_t at = words.find(list);
    REQUIRE(at != words.npos);
    words.replace(at, list.size(), list.substr(0, list.find(' ')) + " he:");
  }
  const StoryGrammar men(words + "\n" + std::string(story_plots));
  for (uint64_t i = 0; i < 3000; ++i) {
    for (const auto& word : words_of(men.story(0, i))) {
      CHECK((word != "she" && word != "her" && word != "herself" && word != "girl"));
    }
  }
}
