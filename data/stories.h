// The built-in training text: little stories told by a grammar of our own, so that `chapbook train` runs on a
// machine without data. The words are in stories_words.cpp and the plots in stories_plots.cpp; both are plain
// text in a small template language, so a new plot is about ten lines:
//
//   plot NAME:           a story. Its lines are indented; an empty line begins a new paragraph.
//   toy: ball | kite     a list of words or phrases, which may themselves be templates
//   name she: Mia | Zoe  a list of persons with their pronouns, she or he; a list may go on in further lines
//   like this friend = name        another role for the words of a list: never the same word as any other
//   role of that list cure with fear: ..   a list beside another: when fear is its third word, cure is its
//   third word too # ...                a comment
//
//   [a|b|c]              one of these, drawn anew in each story; alternatives may nest and may be empty
//   {toy}                drawn from its list at the first use and then kept to the end of the story
//   <greeting>           drawn anew at every use
//   {Toy}  <Greeting>    the same with a capital letter
//   {friend.he}          the friend's pronoun: he him his himself child; {he} alone is {name.he}
//
// Spaces and line ends are tidied and "a" becomes "an" before a vowel, so templates need not care.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace chapbook {

class StoryGrammar {
 public:
  // Throws Error for a line that is none of the above, a slot without a list, brackets that do not match,
  // lists that go together but differ in length, and a grammar without a plot.
  explicit StoryGrammar(std::string_view text);

  // The story number `index` of `seed`: the same on every platform, and independent of the stories before it.
  std::string story(uint64_t seed, uint64_t index) const;

  std::vector<std::string> plots() const;  // their names

 private:
  struct Entry {
    std::string text;
    bool she = false;
  };
  struct List {
    std::vector<Entry> entries;
    std::string partner;  // the list this one goes with, or empty
  };
  struct Plot {
    std::string name, text;
  };
  friend class StoryTeller;

  void add(const std::string& head, std::string_view body);
  void check_template(const std::string& where, std::string_view text) const;
  const List* find(std::string_view slot) const;

  std::map<std::string, List, std::less<>> lists_;
  std::map<std::string, std::string, std::less<>> roles_;  // role -> list
  std::vector<Plot> plots_;
};

extern const std::string_view story_words, story_plots;  // the text of the built-in grammar

const StoryGrammar& built_in_stories();

// Gives `sink` the stories 0 .. count - 1 of `seed`, each followed by a line holding <|endoftext|>.
void write_stories(int64_t count, uint64_t seed, const std::function<void(std::string_view)>& sink);

}  // namespace chapbook
