// What is in a text that was prepared: how many stories, how long, what is wrong with them. Beside the token
// files as text.json, and as two pictures.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace chapbook {

struct TextFacts {
  int64_t stories = 0, bytes = 0, tokens = 0;  // kept, without what was dropped
  // Stories that came before on this side; longer ones than a piece (data/split.h) are not looked at.
  int64_t duplicates = 0;
  int64_t leaked = 0;    // of validation: stories that are among those to train on
  int64_t mojibake = 0;  // characters that look misread (data/quality.h), before they were repaired
  uint64_t hash = 0xCBF29CE484222325u;  // of all stories in their order, blind to white space between words

  // Stories by their tokens, four buckets to a doubling, and by their bytes per token, ten buckets to one.
  std::vector<int64_t> by_tokens = std::vector<int64_t>(4 * 32),
                       by_bytes_per_token = std::vector<int64_t>(200);
  void add_story(int64_t story_bytes, int64_t story_tokens);
};

// text.json, lengths.svg and bytes_per_token.svg.
void write_text_facts(const std::string& directory, const TextFacts& train, const TextFacts& valid);

}  // namespace chapbook
