// Stories as answers: after some of their own words, as TinyStories-Instruct has them.
#pragma once
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace chapbook {

struct Question {
  std::vector<std::string> words;
  std::string text, answer;
};

// Asks for three words of the story that are long enough to mean something, as they come.
inline Question question_about(const std::string& story) {
  std::vector<std::string> words;
  std::string word;
  for (const char letter : story) {
    if (std::islower(static_cast<unsigned char>(letter))) {
      word += letter;
    } else {
      if (word.size() > 4 && std::find(words.begin(), words.end(), word) == words.end())
        words.push_back(word);
      word.clear();
    }
  }
  const size_t step = std::max<size_t>(1, words.size() / 3);
  std::vector<std::string> three;
  for (size_t i = 0; i < words.size() && three.size() < 3; i += step) three.push_back(words[i]);
  return {three, fmt::format("Words: {}.\nStory:", fmt::join(three, ", ")), " " + story};
}

}  // namespace chapbook
