#include "data/new_words.h"

#include <map>

#include "data/pretokenize.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {

Tokenizer with_words(const Tokenizer& tokenizer, const std::vector<std::string>& words) {
  std::vector<std::string> tokens;
  std::map<std::string, int32_t> id_of;
  for (int32_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    tokens.emplace_back(tokenizer.token_bytes(id));
    if (!tokenizer.is_special(id)) id_of[tokens.back()] = id;
  }
  std::vector<Tokenizer::Merge> merges = tokenizer.merges();
  for (const std::string& word : words) {
    check(!word.empty() && piece_end(word, 0) == word.size(), "'{}' is not one word: the tokenizer cuts it",
          word);
    const std::vector<int32_t> parts = Tokenizer(tokens, merges, tokenizer.special_ids()).encode(word);
    int32_t left = parts[0];
    for (size_t i = 1; i < parts.size(); ++i) {
      merges.push_back({left, parts[i]});
      const std::string joined = tokens[left] + tokens[parts[i]];
      const auto [found, is_new] = id_of.emplace(joined, static_cast<int32_t>(tokens.size()));
      if (is_new) tokens.push_back(joined);
      left = found->second;
    }
  }
  return Tokenizer(tokens, std::move(merges), tokenizer.special_ids());
}

std::vector<std::string> read_words(const std::string& path) {
  const std::string text = read_file(path);
  std::vector<std::string> words;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    while (!line.empty() && line.front() == ' ') line.erase(0, 1);
    if (!line.empty()) words.push_back(" " + line);
  }
  check(!words.empty(), "{}: no words in it, one a line", path);
  return words;
}

}  // namespace chapbook
