#include "data/bpe_train.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <queue>
#include <unordered_map>

#include "data/byte_alphabet.h"
#include "data/pair_map.h"
#include "data/pretokenize.h"
#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"

namespace chapbook {
namespace {

void count_words(std::string_view text, WordTable& counts) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(Tokenizer::end_of_text_name, at), text.size());
    const std::string_view document = text.substr(at, end - at);
    for (size_t begin = 0; begin < document.size();) {
      const size_t piece = piece_end(document, begin);
      counts.add(document.substr(begin, piece - begin));
      begin = piece;
    }
    at = std::min(end + Tokenizer::end_of_text_name.size(), text.size());
  }
}

// Eight bytes at a time, each mixed in by a product with an odd number.
uint64_t hash_of(std::string_view word) {
  uint64_t hash = word.size();
  for (size_t at = 0; at < word.size(); at += 8) {
    uint64_t block = 0;
    std::memcpy(&block, word.data() + at, std::min<size_t>(8, word.size() - at));
    hash = (hash ^ block) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  }
  return hash;
}

// The words as tokens, and for every pair of neighbours how often it occurs and in which words.
// Invariant: counts are exact after every merge. A pair's list of words may be too long (the pair has gone
// from some), never too short.
class MergeLearner {
 public:
  struct Best {
    int64_t count;
    int32_t left, right;
  };

  explicit MergeLearner(const std::vector<std::pair<std::string_view, int64_t>>& words) {
    std::array<int32_t, 256> id_of_byte;
    for (int32_t id = 0; id < 256; ++id) id_of_byte[bytes_in_alphabet_order()[id]] = id;
    for (const auto& [text, count] : words) {
      const auto word = static_cast<uint32_t>(words_.size());
      words_.push_back({tokens_.size(), text.size(), count});
      for (const char byte : text) tokens_.push_back(id_of_byte[static_cast<uint8_t>(byte)]);
      const int32_t* token = tokens_.data() + words_.back().begin;
      for (size_t i = 0; i + 1 < text.size(); ++i) change(token[i], token[i + 1], word, count);
    }
    queue_changed_pairs();
  }

  // The most frequent pair; count 0 if no word has two tokens any more.
  // The queue is lazy: a pair whose count fell since it was queued is put back where it now belongs.
  Best best_pair() {
    while (!queue_.empty()) {
      const Queued top = queue_.top();
      const auto left = static_cast<int32_t>(top.key >> 32),
                 right = static_cast<int32_t>(top.key & 0xFFFFFFFF);
      const int64_t count = pairs_[pair_number_.find(left, right)].count;
      if (count == top.count) return {count, left, right};
      queue_.pop();
      if (count > 0) queue_.push({count, top.key});
    }
    return {0, 0, 0};
  }

  void merge(int32_t left, int32_t right, int32_t merged) {
    const std::vector<uint32_t> places = std::move(pairs_[pair_number_.find(left, right)].words);
    for (const uint32_t word : places) merge_in_word(word, left, right, merged);
    queue_changed_pairs();
  }

 private:
  struct Word {
    size_t begin, length;  // in tokens_
    int64_t count;
  };
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> words;
    bool grew = false;  // since it was last queued
  };
  struct Queued {
    int64_t count;
    uint64_t key;
    bool operator<(const Queued& other) const {  // the greatest: most frequent first, then lower ids
      return count != other.count ? count < other.count : key > other.key;
    }
  };

  void merge_in_word(uint32_t index, int32_t left, int32_t right, int32_t merged) {
    Word& word = words_[index];
    int32_t* token = tokens_.data() + word.begin;
    size_t kept = 0;  // token[0, kept) is done
    for (size_t i = 0; i < word.length; ++i) {
      if (token[i] != left || i + 1 == word.length || token[i + 1] != right) {
        token[kept++] = token[i];
        continue;
      }
      change(left, right, index, -word.count);
      if (kept > 0) {
        change(token[kept - 1], left, index, -word.count);
        change(token[kept - 1], merged, index, word.count);
      }
      ++i;
      if (i + 1 < word.length) {
        change(right, token[i + 1], index, -word.count);
        change(merged, token[i + 1], index, word.count);
      }
      token[kept++] = merged;
    }
    word.length = kept;
  }

  void change(int32_t left, int32_t right, uint32_t word, int64_t difference) {
    const uint32_t number = pair_number_.insert(left, right, static_cast<uint32_t>(pairs_.size()));
    if (number == pairs_.size()) pairs_.emplace_back();
    Pair& pair = pairs_[number];
    pair.count += difference;
    if (difference < 0) return;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
    if (!pair.grew) grown_.push_back(PairMap::key(left, right));
    pair.grew = true;
  }

  void queue_changed_pairs() {
    for (const uint64_t key : grown_) {
      Pair& pair =
          pairs_[pair_number_.find(static_cast<int32_t>(key >> 32), static_cast<int32_t>(key & 0xFFFFFFFF))];
      pair.grew = false;
      if (pair.count > 0) queue_.push({pair.count, key});
    }
    grown_.clear();
  }

  std::vector<int32_t> tokens_;
  std::vector<Word> words_;
  std::vector<Pair> pairs_;
  PairMap pair_number_;  // where a pair is in pairs_
  std::priority_queue<Queued> queue_;
  std::vector<uint64_t> grown_;
};

}  // namespace

void WordTable::add(std::string_view word, int64_t count) {
  if (2 * (used_ + 1) > slots_.size()) grow();
  const uint64_t hash = hash_of(word);
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].count > 0 && (slots_[at].hash != hash ||
                                  std::string_view(bytes_).substr(slots_[at].begin, slots_[at].size) != word))
    at = (at + 1) & mask;
  Slot& slot = slots_[at];
  if (slot.count == 0) {
    slot = {hash, bytes_.size(), static_cast<uint32_t>(word.size()), 0};
    bytes_ += word;
    ++used_;
  }
  slot.count += count;
}

void WordTable::grow() {
  std::vector<Slot> old(2 * slots_.size());
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.count == 0) continue;
    size_t at = slot.hash & (slots_.size() - 1);
    while (slots_[at].count > 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }
}

void WordCounts::add(std::string_view text, int threads) {
  check(threads >= 1, "counting words: {} threads; at least 1 is needed", threads);
  const auto most = static_cast<size_t>(threads);
  if (tables_.size() < most) tables_.resize(most);
  std::vector<std::string_view> parts;
  for (size_t begin = 0, i = 0; i < most; ++i) {
    const size_t end = i + 1 == most ? text.size() : safe_cut(text, text.size() * (i + 1) / most);
    if (end < begin) continue;  // a stretch without white space: the part before reaches over this one
    parts.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  parallel_for(static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) count_words(parts[i], tables_[i]);
  });
}

std::vector<std::pair<std::string_view, int64_t>> WordCounts::sorted() const {
  std::vector<std::pair<std::string_view, int64_t>> words;
  for (const WordTable& table : tables_)
    table.each([&](std::string_view word, int64_t count) { words.emplace_back(word, count); });
  std::sort(words.begin(), words.end());
  size_t last = 0;  // the same word of another table stands beside it
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i].first == words[last].first)
      words[last].second += words[i].second;
    else
      words[++last] = words[i];
  }
  if (!words.empty()) words.resize(last + 1);
  return words;
}

Tokenizer train_bpe(const WordCounts& words, int64_t vocabulary_size) {
  check(vocabulary_size >= 257 && vocabulary_size <= 65536,
        "tokenizer: a vocabulary of {} tokens; it must have 257 (the bytes and {}) to 65536 (ids are stored "
        "in 16 bits)",
        vocabulary_size, Tokenizer::end_of_text_name);
  std::vector<std::string> tokens;
  std::unordered_map<std::string, int32_t> id_of;
  for (const uint8_t byte : bytes_in_alphabet_order()) {
    id_of.emplace(std::string(1, static_cast<char>(byte)), static_cast<int32_t>(tokens.size()));
    tokens.emplace_back(1, static_cast<char>(byte));
  }
  std::vector<Tokenizer::Merge> merges;
  MergeLearner learner(words.sorted());
  while (static_cast<int64_t>(tokens.size()) + 1 < vocabulary_size) {
    const auto [count, left, right] = learner.best_pair();
    if (count == 0) break;
    // Two different pairs can spell the same token (a + bc, ab + c): then it keeps its id.
    const auto [token, is_new] =
        id_of.emplace(tokens[left] + tokens[right], static_cast<int32_t>(tokens.size()));
    if (is_new) tokens.push_back(token->first);
    merges.push_back({left, right});
    learner.merge(left, right, token->second);
  }
  tokens.emplace_back(Tokenizer::end_of_text_name);
  return Tokenizer(tokens, std::move(merges), {static_cast<int32_t>(tokens.size()) - 1});
}

Tokenizer train_bpe(std::string_view text, int64_t vocabulary_size, int threads) {
  WordCounts words;
  words.add(text, threads);
  return train_bpe(words, vocabulary_size);
}

}  // namespace chapbook
