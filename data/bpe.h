// Byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909; bytes as in GPT-2): text to token
// ids and back. A word begins as its bytes; then, as long as two neighbours form a known merge, the pair
// whose merge was learned first becomes one token. Every byte has a token, so any bytes at all can be
// encoded, and decode(encode(x)) == x.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/pair_map.h"

namespace chapbook {

// How "<|endoftext|>" in a text is read: as those 13 characters, or as the token of that name.
// Text from outside is read as text; training files, whose documents it separates, are read with `recognise`.
enum class SpecialTokens { as_text, recognise };

// Immutable; any number of threads may encode at once.
class Tokenizer {
 public:
  static constexpr std::string_view end_of_text_name = "<|endoftext|>";

  struct Merge {
    int32_t left, right;  // ids; the merged token is the one whose bytes are theirs joined
    bool operator==(const Merge&) const = default;
  };

  // tokens[id] are the bytes of a token; the merges in the order they were learned; which of the ids are
  // special tokens (known by name, never made by merges). Throws unless each byte has a token, no two tokens
  // are equal, and each other token that is not special is made by a merge.
  Tokenizer(const std::vector<std::string>& tokens, std::vector<Merge> merges,
            std::vector<int32_t> special_ids);

  std::vector<int32_t> encode(std::string_view text, SpecialTokens = SpecialTokens::as_text) const;
  void encode_append(std::string_view text, SpecialTokens, std::vector<int32_t>& ids) const;

  // The bytes of the tokens, joined. Throws if an id is outside the vocabulary.
  std::string decode(std::span<const int32_t> ids) const;
  std::string_view token_bytes(int32_t id) const;

  int64_t vocabulary_size() const { return static_cast<int64_t>(token_begin_.size()) - 1; }
  int32_t end_of_text() const;  // the id of <|endoftext|>; throws if there is none
  bool is_special(int32_t id) const;

  const std::vector<Merge>& merges() const { return merges_; }
  const std::vector<int32_t>& special_ids() const { return special_ids_; }

  // 16 hexadecimal digits: equal for equal tokens, merges and special tokens, however they were stored. Token
  // files and checkpoints carry it, so that no model ever reads another tokenizer's ids.
  const std::string& hash() const { return hash_; }

 private:
  void set_tokens(const std::vector<std::string>& tokens);
  void set_merges(const std::vector<std::string>& tokens);
  void encode_words(std::string_view text, std::vector<int32_t>& ids) const;
  void merge_word(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_long_word(std::vector<int32_t>& ids, size_t begin) const;

  std::string token_bytes_;          // the bytes of all tokens, one after another
  std::vector<size_t> token_begin_;  // (V + 1) where each begins in token_bytes_
  std::vector<Merge> merges_;        // by rank
  std::vector<int32_t> merged_;      // by rank: the id of the merged token
  PairMap rank_;                     // pair to rank
  int32_t id_of_byte_[256];
  std::vector<int32_t> special_ids_;  // ascending
  std::string hash_;
  uint64_t identity_;  // tells this tokenizer's cached words from another's; copies share it
};

// Decodes a stream of tokens for display: a UTF-8 sequence split over several tokens is held back until it is
// complete. The pieces joined are what decode() gives.
class StreamDecoder {
 public:
  // `begun`: bytes that come before the tokens', as a text's that they continue.
  explicit StreamDecoder(const Tokenizer& tokenizer, std::string_view begun = "")
      : tokenizer_(&tokenizer), held_(begun) {}
  std::string push(int32_t id);  // the text that can be shown now; may be empty
  std::string finish();          // what was still held back

 private:
  const Tokenizer* tokenizer_;  // must outlive this
  std::string held_;
};

}  // namespace chapbook
