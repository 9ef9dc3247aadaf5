// Reads the story grammar and tells stories from it. The language is described in stories.h.
#include "data/stories.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "data/split.h"
#include "tensor/check.h"
#include "tensor/random.h"

namespace chapbook {
namespace {

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \n") + 1 - first);
}

// Calls part(text) for each alternative of "a | [b|c] d", brackets respected.
template <class Part>
void for_each_alternative(std::string_view text, Part part) {
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == '|' && depth == 0)) {
      part(text.substr(begin, i - begin));
      begin = i + 1;
    } else if (text[i] == '[') {
      ++depth;
    } else if (text[i] == ']') {
      --depth;
    }
  }
}

size_t matching_bracket(std::string_view text, size_t open) {
  for (size_t i = open, depth = 0; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']' && --depth == 0) return i;
  }
  return text.npos;
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
char upper(char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

// "{Friend.he}" is the role friend, the form he, in capitals; "{his}" is the role name, the form his.
struct Slot {
  std::string role;
  std::string form;  // a pronoun, or empty for the word itself
  bool capital;
};

struct Pronoun {
  std::string_view form, he, she;
};
constexpr Pronoun pronouns[] = {{"he", "he", "she"},
                                {"him", "him", "her"},
                                {"his", "his", "her"},
                                {"himself", "himself", "herself"},
                                {"child", "boy", "girl"}};

const Pronoun* find_pronoun(std::string_view form) {
  for (const Pronoun& pronoun : pronouns) {
    if (pronoun.form == form) return &pronoun;
  }
  return nullptr;
}

Slot parse_slot(std::string_view text) {
  Slot slot{std::string(text), "", !text.empty() && text[0] != lower(text[0])};
  if (slot.capital) slot.role[0] = lower(slot.role[0]);
  if (find_pronoun(slot.role)) slot.role = "name." + slot.role;
  if (const size_t dot = slot.role.find('.'); dot != std::string::npos) {
    slot.form = slot.role.substr(dot + 1);
    slot.role.resize(dot);
  }
  return slot;
}

// One space between words, one empty line between paragraphs, and "an" for "a" before a vowel.
std::string tidy(std::string_view text) {
  std::string tidied;
  bool space = false, paragraph = false;
  for (const char c : text) {
    if (c == ' ' || c == '\n') {
      space = true;
      paragraph |= c == '\n';
      continue;
    }
    if (space && !tidied.empty()) {
      const size_t size = tidied.size();
      const bool article = lower(tidied[size - 1]) == 'a' && (size == 1 || !is_letter(tidied[size - 2]));
      if (article && std::string_view("aeiou").find(c) != std::string_view::npos) tidied += 'n';
      tidied += paragraph ? "\n\n" : " ";
    }
    space = paragraph = false;
    tidied += c;
  }
  return tidied;
}

}  // namespace

StoryGrammar::StoryGrammar(std::string_view text) {
  std::string head, body;
  const auto finish = [&] {
    if (!head.empty()) add(head, body);
    head.clear();
    body.clear();
  };
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.starts_with('#')) continue;
    if (line.empty() || line[0] == ' ') {
      check(!head.empty() || trim(line).empty(), "story grammar: \"{}\" belongs to no list or plot",
            trim(line));
      body.append(trim(line).empty() ? "\n" : " ").append(trim(line));  // only an empty line ends a paragraph
      continue;
    }
    finish();
    const size_t end = line.find_first_of(":=");
    check(end != line.npos, "story grammar: \"{}\" is no list, role or plot (is the indent missing?)", line);
    if (line[end] == '=') {
      roles_[std::string(trim(line.substr(0, end)))] = trim(line.substr(end + 1));
    } else {
      head = trim(line.substr(0, end));
      body = line.substr(end + 1);
    }
  }
  finish();

  check(!plots_.empty(), "story grammar: there is no plot");
  for (const auto& [role, list] : roles_) {
    check(lists_.contains(list), "story grammar: the role \"{}\" wants the list \"{}\", which is not there",
          role, list);
  }
  for (const auto& [name, list] : lists_) {
    for (const Entry& entry : list.entries) check_template(name, entry.text);
    if (list.partner.empty()) continue;
    const List* partner = find(list.partner);
    check(partner, "story grammar: \"{}\" goes with \"{}\", which is not there", name, list.partner);
    check(partner->entries.size() == list.entries.size(),
          "story grammar: \"{}\" has {} words, but \"{}\" has {}", name, list.entries.size(), list.partner,
          partner->entries.size());
  }
  for (const Plot& plot : plots_) check_template("plot " + plot.name, plot.text);
}

// Adds the list or plot of a line "head: body".
void StoryGrammar::add(const std::string& head, std::string_view body) {
  if (head.starts_with("plot ")) {
    plots_.push_back({head.substr(5), std::string(trim(body))});
    return;
  }
  const size_t space = head.find(' ');
  const std::string name = head.substr(0, space), rest = space == head.npos ? "" : head.substr(space + 1);
  List& list = lists_[name];
  if (rest.starts_with("with ")) {
    list.partner = rest.substr(5);
  } else {
    check(rest.empty() || rest == "he" || rest == "she",
          "story grammar: \"{}: ...\" should be \"{} he\", \"{} she\" or \"{} with LIST\"", head, name, name,
          name);
  }
  for_each_alternative(body, [&](std::string_view entry) {
    check(!trim(entry).empty(), "story grammar: the list \"{}\" has an empty word", name);
    list.entries.push_back({std::string(trim(entry)), rest == "she"});
  });
}

const StoryGrammar::List* StoryGrammar::find(std::string_view slot) const {
  const auto role = roles_.find(slot);
  const auto list = lists_.find(role == roles_.end() ? slot : std::string_view(role->second));
  return list == lists_.end() ? nullptr : &list->second;
}

void StoryGrammar::check_template(const std::string& where, std::string_view text) const {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']') --depth;
    check(depth >= 0, "story grammar: {}: \"]\" without \"[\"", where);
    if (text[i] != '{' && text[i] != '<') continue;
    const size_t end = text.find(text[i] == '{' ? '}' : '>', i);
    check(end != text.npos, "story grammar: {}: \"{}\" is not closed", where, text[i]);
    const std::string_view name = text.substr(i + 1, end - i - 1);
    const Slot slot = parse_slot(name);
    check(find(slot.role), "story grammar: {}: there is no list for \"{}\"", where, name);
    check(slot.form.empty() || find_pronoun(slot.form), "story grammar: {}: \"{}\" asks for an unknown form",
          where, name);
    i = end;
  }
  check(depth == 0, "story grammar: {}: \"[\" without \"]\"", where);
}

std::vector<std::string> StoryGrammar::plots() const {
  std::vector<std::string> names;
  for (const Plot& plot : plots_) names.push_back(plot.name);
  return names;
}

// Tells one story: expands its plot and remembers who and what is in it.
class StoryTeller {
 public:
  StoryTeller(const StoryGrammar& grammar, uint64_t seed, uint64_t index)
      : grammar_(grammar), random_{seed, index << 20} {}

  std::string tell() {
    const auto& plots = grammar_.plots_;
    return tidy(expand(plots[random_.below(plots.size())].text));
  }

 private:
  using List = StoryGrammar::List;
  struct Cast {
    std::string role;
    const List* list;
    size_t index;  // in the list
    std::string text;
  };

  std::string expand(std::string_view text) {
    check(++depth_ < 64, "story grammar: a list is made of itself, at \"{}\"", text);
    std::string result;
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '[') {
        const size_t end = matching_bracket(text, i);
        result += expand(choose(text.substr(i + 1, end - i - 1)));
        i = end;
      } else if (c == '{' || c == '<') {
        const size_t end = text.find(c == '{' ? '}' : '>', i);
        result += fill(parse_slot(text.substr(i + 1, end - i - 1)), c == '{');
        i = end;
      } else {
        result += c;
      }
    }
    --depth_;
    return result;
  }

  std::string_view choose(std::string_view alternatives) {
    uint64_t count = 0;
    for_each_alternative(alternatives, [&](std::string_view) { ++count; });
    uint64_t chosen = random_.below(count);
    std::string_view result;
    for_each_alternative(alternatives, [&](std::string_view part) {
      if (chosen-- == 0) result = part;
    });
    return result;
  }

  std::string fill(const Slot& slot, bool keep) {
    std::string text;
    if (keep) {
      const Cast member = cast(slot.role);
      text = member.text;
      if (!slot.form.empty()) {
        const Pronoun* pronoun = find_pronoun(slot.form);
        text = member.list->entries[member.index].she ? pronoun->she : pronoun->he;
      }
    } else {
      const List& list = *grammar_.find(slot.role);
      text = expand(list.entries[random_.below(list.entries.size())].text);
    }
    if (slot.capital) text[0] = upper(text[0]);
    return text;
  }

  // Who or what plays this role: remembered, or drawn now among the words that no other role has taken.
  Cast cast(const std::string& role) {
    for (const Cast& member : cast_) {
      if (member.role == role) return member;
    }
    const List* list = grammar_.find(role);
    Cast drawn{role, list, 0, ""};
    if (!list->partner.empty()) {
      drawn.index = cast(list->partner).index;
    } else {
      std::vector<size_t> free;
      for (size_t i = 0; i < list->entries.size(); ++i) {
        if (!taken(list, i)) free.push_back(i);
      }
      check(!free.empty(), "story grammar: the list of \"{}\" has too few words for its roles", role);
      drawn.index = free[random_.below(free.size())];
    }
    drawn.text = expand(list->entries[drawn.index].text);
    cast_.push_back(drawn);
    return drawn;
  }

  bool taken(const List* list, size_t index) const {
    for (const Cast& member : cast_) {
      if (member.list == list && member.index == index) return true;
    }
    return false;
  }

  const StoryGrammar& grammar_;
  Random random_;  // a story draws far fewer than 2^20 numbers, so two stories never share any
  std::vector<Cast> cast_;
  int depth_ = 0;
};

std::string StoryGrammar::story(uint64_t seed, uint64_t index) const {
  return StoryTeller(*this, seed, index).tell();
}

const StoryGrammar& built_in_stories() {
  static const StoryGrammar grammar(std::string(story_words) + "\n" + std::string(story_plots));
  return grammar;
}

void write_stories(int64_t count, uint64_t seed, const std::function<void(std::string_view)>& sink) {
  for (int64_t i = 0; i < count; ++i) {
    std::string text = built_in_stories().story(seed, static_cast<uint64_t>(i));
    sink(text.append("\n").append(story_separator).append("\n"));
  }
}

}  // namespace chapbook
