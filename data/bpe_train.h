// Learns a byte-level BPE tokenizer from text: count the words, then again and again make the most frequent
// pair of neighbouring tokens a token of its own (Sennrich et al. 2016, arXiv 1508.07909). Ties go to the
// pair with the lower ids, as in Hugging Face tokenizers, so both learn the same merges in the same order.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/bpe.h"

namespace chapbook {

// Words and how often they came: open addressing, the bytes of all words one after another.
class WordTable {
 public:
  void add(std::string_view word, int64_t count = 1);
  size_t size() const { return used_; }
  template <class Visit>
  void each(Visit visit) const {  // in no order
    for (const Slot& slot : slots_)
      if (slot.count > 0) visit(std::string_view(bytes_).substr(slot.begin, slot.size), slot.count);
  }

 private:
  struct Slot {
    uint64_t hash = 0;
    size_t begin = 0;  // of its bytes
    uint32_t size = 0;
    int64_t count = 0;  // 0: the slot is free
  };
  void grow();
  std::string bytes_;
  std::vector<Slot> slots_ = std::vector<Slot>(1024);
  size_t used_ = 0;
};

// How often each word (piece of the pre-tokenizer) occurs. Text may be added in parts, so it need not fit in
// memory.
class WordCounts {
 public:
  // Counts the words of the text on up to this many threads; the result does not depend on it. <|endoftext|>
  // separates documents and is not counted. Parts of one document must be cut at a safe_cut
  // (data/pretokenize.h).
  void add(std::string_view text, int threads = 1);

  // Words and counts, sorted by word.
  std::vector<std::pair<std::string_view, int64_t>> sorted() const;  // valid until the next add()

 private:
  std::vector<WordTable> tables_;  // one for each thread; a word may be in several
};

// Ids as in GPT-2: 0 to 255 the bytes in the order of its alphabet, then the merges as they are learned, last
// <|endoftext|>. Stops early, with a smaller vocabulary, when every word has become one token. Throws unless
// 257 <= vocabulary_size <= 65536 (ids are stored as u16).
Tokenizer train_bpe(const WordCounts& words, int64_t vocabulary_size);
Tokenizer train_bpe(std::string_view text, int64_t vocabulary_size, int threads = 1);

}  // namespace chapbook
