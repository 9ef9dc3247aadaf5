// Learns a byte-level BPE tokenizer from text: count the words, then again and again make the most frequent
// pair of neighbouring tokens a token of its own (Sennrich et al. 2016, arXiv 1508.07909). Ties go to the
// pair with the lower ids, as in Hugging Face tokenizers, so both learn the same merges in the same order.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/bpe.h"

namespace chapbook {

// How often each word (piece of the pre-tokenizer) occurs. Text may be added in parts, so it need not fit in
// memory.
class WordCounts {
 public:
  // Counts the words of the text on this many threads; the result does not depend on it. <|endoftext|>
  // separates documents and is not counted. Parts of one document must be cut at a safe_cut
  // (data/pretokenize.h).
  void add(std::string_view text, int threads = 1);

  // Words and counts, sorted by word.
  std::vector<std::pair<std::string_view, int64_t>> sorted() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> counts_;
};

// Ids as in GPT-2: 0 to 255 the bytes in the order of its alphabet, then the merges as they are learned, last
// <|endoftext|>. Stops early, with a smaller vocabulary, when every word has become one token. Throws unless
// 257 <= vocabulary_size <= 65536 (ids are stored as u16).
Tokenizer train_bpe(const WordCounts& words, int64_t vocabulary_size);
Tokenizer train_bpe(std::string_view text, int64_t vocabulary_size, int threads = 1);

}  // namespace chapbook
