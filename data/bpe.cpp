#include "data/bpe.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <queue>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "data/byte_alphabet.h"
#include "data/pretokenize.h"
#include "data/utf8.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

// Text is mostly words seen before. Each thread remembers the ids of words of up to 15 bytes, for the
// tokenizer that it used last. A cache is as large as what it has seen, since a thread may live for one short
// text only, as those of a server do; one that has grown to its end is emptied when it is full.
class WordCache {
 public:
  struct Slot {
    uint64_t low = 0,
             high = 0;  // the word's bytes, zeros, and its length in the last byte: no word gives 0, 0
    uint32_t begin = 0, count = 0;
  };
  static constexpr size_t longest_word = 15;

  void use_for(uint64_t tokenizer) {
    if (tokenizer != tokenizer_) clear();
    tokenizer_ = tokenizer;
  }

  // The slot of the word that `text` begins with. If it is new, its count is 0 until remember() is called.
  Slot& find(std::string_view text, size_t length) {
    if (2 * used_ > slots_.size()) make_room();
    const std::string_view word = text.substr(0, length);
    uint64_t block[2] = {0, 0};
    if (text.size() >= sizeof block) {  // 16 bytes at once, and those behind the word are taken away
      std::memcpy(block, text.data(), sizeof block);
      uint64_t& last = block[length / 8];
      if (length < 8) block[1] = 0;
      last &= (uint64_t{1} << 8 * (length % 8)) - 1;
    } else {
      std::memcpy(block, word.data(), length);
    }
    reinterpret_cast<unsigned char*>(block)[15] = static_cast<unsigned char>(length);
    return slot_of(block[0], block[1]);
  }

  void remember(Slot& slot, std::span<const int32_t> word_ids) {
    slot.begin = static_cast<uint32_t>(ids_.size());
    slot.count = static_cast<uint32_t>(word_ids.size());
    ids_.insert(ids_.end(), word_ids.begin(), word_ids.end());
    ++used_;
  }

  const int32_t* ids(const Slot& slot) const { return ids_.data() + slot.begin; }

 private:
  static constexpr size_t least_slots = 1 << 8, most_slots = 1 << 16;

  Slot& slot_of(uint64_t low, uint64_t high) {
    const size_t mask = slots_.size() - 1;
    const uint64_t mixed = (low * 0x9E3779B97F4A7C15u ^ high) * 0xD6E8FEB86659FD93u;
    size_t slot = (mixed >> 40) & mask;
    while (slots_[slot].count != 0 && (slots_[slot].low != low || slots_[slot].high != high)) {
      slot = (slot + 1) & mask;
    }
    slots_[slot].low = low;
    slots_[slot].high = high;
    return slots_[slot];
  }

  void make_room() {
    if (slots_.size() == most_slots) return clear();
    const std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
    for (const Slot& slot : before)
      if (slot.count != 0) slot_of(slot.low, slot.high) = slot;
  }
  void clear() {
    slots_.assign(std::max(slots_.size(), least_slots), Slot());
    ids_.clear();
    used_ = 0;
  }

  uint64_t tokenizer_ = 0;
  std::vector<Slot> slots_;
  std::vector<int32_t> ids_;
  size_t used_ = 0;
};

// FNV-1a, 64 bits (Fowler, Noll, Vo).
class ContentHash {
 public:
  void add(std::string_view bytes) {
    add(static_cast<int64_t>(bytes.size()));
    for (const char byte : bytes) add_byte(static_cast<uint8_t>(byte));
  }
  void add(int64_t value) {
    for (int shift = 0; shift < 64; shift += 8) add_byte(static_cast<uint8_t>(value >> shift));
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  void add_byte(uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001B3u; }
  uint64_t hash_ = 0xCBF29CE484222325u;
};

uint64_t next_identity() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

Tokenizer::Tokenizer(const std::vector<std::string>& tokens, std::vector<Merge> merges,
                     std::vector<int32_t> special_ids)
    : merges_(std::move(merges)), special_ids_(std::move(special_ids)), identity_(next_identity()) {
  std::sort(special_ids_.begin(), special_ids_.end());
  set_tokens(tokens);
  set_merges(tokens);
  ContentHash hash;
  for (const std::string& token : tokens) hash.add(token);
  for (const Merge& merge : merges_) hash.add(int64_t{merge.left} << 32 | merge.right);
  for (const int32_t id : special_ids_) hash.add(id);
  hash_ = hash.text();
}

void Tokenizer::set_tokens(const std::vector<std::string>& tokens) {
  for (size_t id = 0; id < tokens.size(); ++id) {
    check(!tokens[id].empty(), "tokenizer: token {} is empty", id);
    token_begin_.push_back(token_bytes_.size());
    token_bytes_ += tokens[id];
  }
  token_begin_.push_back(token_bytes_.size());
  for (size_t i = 0; i < special_ids_.size(); ++i) {
    const int32_t id = special_ids_[i];
    check(id >= 0 && id < vocabulary_size(), "tokenizer: special token id {} is outside the vocabulary of {}",
          id, vocabulary_size());
    for (size_t j = 0; j < i; ++j) {
      check(tokens[special_ids_[j]] != tokens[id], "tokenizer: special token {} is listed twice",
            visible(tokens[id]));
    }
  }
}

void Tokenizer::set_merges(const std::vector<std::string>& tokens) {
  std::unordered_map<std::string_view, int32_t> id_of;  // of tokens that are not special
  for (int32_t id = 0; id < vocabulary_size(); ++id) {
    if (is_special(id)) continue;
    const auto [other, is_new] = id_of.emplace(tokens[id], id);
    check(is_new, "tokenizer: tokens {} and {} are both \"{}\"", other->second, id, to_printable(tokens[id]));
  }
  std::vector<bool> made(tokens.size(), false);
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    const auto found = id_of.find(std::string_view(&character, 1));
    check(found != id_of.end(), "tokenizer: byte 0x{:02x} has no token; a byte-level tokenizer has all 256",
          byte);
    id_of_byte_[byte] = found->second;
    made[found->second] = true;
  }
  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    const auto [left, right] = merges_[rank];
    for (const int32_t part : {left, right}) {
      check(part >= 0 && part < vocabulary_size() && !is_special(part),
            "tokenizer: merge {} uses token {}, which is special or unknown", rank, part);
    }
    const auto found = id_of.find(tokens[left] + tokens[right]);
    check(found != id_of.end(), "tokenizer: merge {} ({} {}) makes a token that is not in the vocabulary",
          rank, to_printable(tokens[left]), to_printable(tokens[right]));
    check(rank_.insert(left, right, static_cast<uint32_t>(rank)) == rank,
          "tokenizer: merge {} ({} {}) is listed twice", rank, to_printable(tokens[left]),
          to_printable(tokens[right]));
    merged_.push_back(found->second);
    made[found->second] = true;
  }
  for (int32_t id = 0; id < vocabulary_size(); ++id) {
    check(made[id] || is_special(id), "tokenizer: no merge makes token {} (\"{}\"); are merges missing?", id,
          to_printable(tokens[id]));
  }
}

bool Tokenizer::is_special(int32_t id) const {
  return std::binary_search(special_ids_.begin(), special_ids_.end(), id);
}

int32_t Tokenizer::end_of_text() const {
  for (const int32_t id : special_ids_) {
    if (token_bytes(id) == end_of_text_name) return id;
  }
  fail("tokenizer: it has no token {}", end_of_text_name);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  check(id >= 0 && id < vocabulary_size(), "tokenizer: token {} is outside the vocabulary of {}", id,
        vocabulary_size());
  return std::string_view(token_bytes_).substr(token_begin_[id], token_begin_[id + 1] - token_begin_[id]);
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += token_bytes(id);
  return text;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, SpecialTokens special_tokens) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3);
  encode_append(text, special_tokens, ids);
  return ids;
}

void Tokenizer::encode_append(std::string_view text, SpecialTokens special_tokens,
                              std::vector<int32_t>& ids) const {
  if (special_tokens == SpecialTokens::as_text) return encode_words(text, ids);
  std::vector<size_t> next(special_ids_.size(), 0);  // where each special token comes next
  for (size_t at = 0; at < text.size();) {
    size_t begin = text.size(),
           end = text.size();  // the first special token from `at` on; of several, the longest
    int32_t special = -1;
    for (size_t i = 0; i < next.size(); ++i) {
      const std::string_view name = token_bytes(special_ids_[i]);
      if (next[i] != text.npos && (next[i] < at || at == 0)) next[i] = text.find(name, at);
      if (next[i] < begin || (next[i] == begin && begin + name.size() > end)) {
        std::tie(begin, end, special) = std::tuple(next[i], next[i] + name.size(), special_ids_[i]);
      }
    }
    encode_words(text.substr(at, begin - at), ids);
    if (special >= 0) ids.push_back(special);
    at = end;
  }
}

void Tokenizer::encode_words(std::string_view text, std::vector<int32_t>& ids) const {
  thread_local WordCache cache;
  cache.use_for(identity_);
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = piece_end(text, begin);
    const std::string_view word = text.substr(begin, end - begin);
    if (word.size() > WordCache::longest_word) {
      merge_word(word, ids);
      continue;
    }
    WordCache::Slot& slot = cache.find(text.substr(begin), word.size());
    if (slot.count == 0) {
      const size_t first = ids.size();
      merge_word(word, ids);
      cache.remember(slot, std::span(ids).subspan(first));
    } else {
      const int32_t* known = cache.ids(slot);
      for (uint32_t i = 0; i < slot.count; ++i) ids.push_back(known[i]);
    }
  }
}

// Appends the word's ids. A short word's best pair is found by looking at all of them: at most 32 are quicker
// to look at than to keep in order.
void Tokenizer::merge_word(std::string_view word, std::vector<int32_t>& ids) const {
  constexpr size_t short_word = 32;
  const size_t begin = ids.size();
  for (const char byte : word) ids.push_back(id_of_byte_[static_cast<uint8_t>(byte)]);
  if (word.size() > short_word) return merge_long_word(ids, begin);

  int32_t* token = ids.data() + begin;
  uint32_t rank[short_word];  // of token[i] with token[i + 1]; PairMap::none is higher than any
  size_t count = word.size();
  const auto rank_at = [&](size_t i) {
    return i + 1 < count ? rank_.find(token[i], token[i + 1]) : PairMap::none;
  };
  for (size_t i = 0; i < count; ++i) rank[i] = rank_at(i);
  while (true) {
    const size_t best = std::min_element(rank, rank + count) - rank;  // the leftmost of equals
    if (rank[best] == PairMap::none) break;
    token[best] = merged_[rank[best]];
    std::copy(token + best + 2, token + count, token + best + 1);
    std::copy(rank + best + 2, rank + count, rank + best + 1);
    --count;
    rank[best] = rank_at(best);
    if (best > 0) rank[best - 1] = rank_at(best - 1);
  }
  ids.resize(begin + count);
}

// The same for any length in O(n log n): the tokens are a linked list, the pairs wait in a heap by rank,
// leftmost first. A pair whose tokens have changed since it was put there no longer has that rank, and is
// passed over.
void Tokenizer::merge_long_word(std::vector<int32_t>& ids, size_t begin) const {
  struct Link {
    int32_t token;
    size_t previous, next;
  };
  constexpr size_t nowhere = static_cast<size_t>(-1);
  const size_t count = ids.size() - begin;
  std::vector<Link> links(count);
  for (size_t i = 0; i < count; ++i) {
    links[i] = {ids[begin + i], i == 0 ? nowhere : i - 1, i + 1 == count ? nowhere : i + 1};
  }
  using Candidate = std::pair<uint32_t, size_t>;  // rank, and where the left token is
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto rank_at = [&](size_t i) {
    const bool pair =
        links[i].token >= 0 && links[i].next != nowhere;  // a token of -1 was merged into the one before
    return pair ? rank_.find(links[i].token, links[links[i].next].token) : PairMap::none;
  };
  const auto propose = [&](size_t i) {
    if (const uint32_t rank = rank_at(i); rank != PairMap::none) candidates.emplace(rank, i);
  };
  for (size_t i = 0; i < count; ++i) propose(i);
  while (!candidates.empty()) {
    const auto [rank, left] = candidates.top();
    candidates.pop();
    if (rank_at(left) != rank) continue;
    Link& right = links[links[left].next];
    links[left].token = merged_[rank];
    right.token = -1;
    links[left].next = right.next;
    if (right.next != nowhere) links[right.next].previous = left;
    propose(left);
    if (links[left].previous != nowhere) propose(links[left].previous);
  }
  ids.resize(begin);
  for (size_t i = 0; i != nowhere; i = links[i].next) ids.push_back(links[i].token);
}

std::string StreamDecoder::push(int32_t id) {
  held_ += tokenizer_->token_bytes(id);
  const size_t complete = complete_utf8(held_);
  const std::string text = held_.substr(0, complete);
  held_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() { return std::exchange(held_, std::string()); }

}  // namespace chapbook
