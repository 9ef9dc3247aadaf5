// The tokenizer without any other's files: UTF-8, pieces, encoding, decoding, learning.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "data/bpe_train.h"
#include "data/byte_alphabet.h"
#include "data/pretokenize.h"
#include "data/utf8.h"
#include "tensor/check.h"

using namespace chapbook;

namespace {

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> result;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = piece_end(text, begin);
    REQUIRE(end > begin);
    result.emplace_back(text.substr(begin, end - begin));
  }
  return result;
}

using Pieces = std::vector<std::string>;

std::string random_bytes(std::mt19937& random, size_t length, int kinds) {
  std::string bytes;
  for (size_t i = 0; i < length; ++i) bytes.push_back(static_cast<char>(random() % kinds + (256 - kinds)));
  return bytes;
}

// Small, but with merges that overlap and words that repeat.
const std::string fable =
    "The fox said, \"I'm hungry.\" The crow had cheese; the crow didn't answer.\n\"What a voice!\" said the "
    "fox, "
    "and the cheese fell.<|endoftext|>\nThe hare ran and ran and ran. Aaaaah! Baaaaa! The tortoise walked.\n"
    "\u00c9t\u00e9, \u00e9t\u00e9: \u4f60\u597d \u4f60\u597d.<|endoftext|>\n";

// The definition, word for word: of all pairs that are merges take the earliest learned, leftmost; no
// cleverness.
std::vector<int32_t> encode_by_definition(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  for (const std::string& word : pieces(text)) {
    std::vector<std::string> tokens;
    for (const char byte : word) tokens.emplace_back(1, byte);
    while (true) {
      size_t best_rank = tokenizer.merges().size(), best = 0;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) {
        for (size_t rank = 0; rank < best_rank; ++rank) {
          const auto [left, right] = tokenizer.merges()[rank];
          if (tokenizer.token_bytes(left) == tokens[i] && tokenizer.token_bytes(right) == tokens[i + 1]) {
            best_rank = rank;
            best = i;
          }
        }
      }
      if (best_rank == tokenizer.merges().size()) break;
      tokens[best] += tokens[best + 1];
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    for (const std::string& token : tokens) {
      int32_t id = 0;
      while (tokenizer.token_bytes(id) != token) ++id;
      ids.push_back(id);
    }
  }
  return ids;
}

// Highest count first, ties by lower ids, counted afresh for every merge.
std::vector<Tokenizer::Merge> learn_by_definition(const std::string& text, size_t merge_count) {
  std::vector<std::pair<std::vector<int32_t>, int64_t>> words;
  WordCounts counts;
  counts.add(text);
  std::vector<std::string> tokens;
  for (const uint8_t byte : bytes_in_alphabet_order()) tokens.emplace_back(1, static_cast<char>(byte));
  const auto id_of = [&](const std::string& token) {
    const auto found = std::find(tokens.begin(), tokens.end(), token);
    if (found == tokens.end()) return static_cast<int32_t>((tokens.push_back(token), tokens.size() - 1));
    return static_cast<int32_t>(found - tokens.begin());
  };
  for (const auto& [word, count] : counts.sorted()) {
    words.emplace_back(std::vector<int32_t>(), count);
    for (const char byte : word) words.back().first.push_back(id_of(std::string(1, byte)));
  }
  std::vector<Tokenizer::Merge> merges;
  while (merges.size() < merge_count) {
    std::map<std::pair<int32_t, int32_t>, int64_t> pairs;
    for (const auto& [word, count] : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) pairs[{word[i], word[i + 1]}] += count;
    }
    if (pairs.empty()) break;
    auto best = pairs.begin();
    for (auto pair = pairs.begin(); pair != pairs.end(); ++pair) {
      if (pair->second > best->second) best = pair;
    }
    const auto [left, right] = best->first;
    const int32_t merged = id_of(tokens[left] + tokens[right]);
    merges.push_back({left, right});
    for (auto& [word, count] : words) {
      std::vector<int32_t> next;
      for (size_t i = 0; i < word.size(); ++i) {
        const bool here = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        next.push_back(here ? merged : word[i]);
        i += here;
      }
      word = next;
    }
  }
  return merges;
}

}  // namespace

TEST_CASE("utf8: every code point is read back, everything else is one byte of U+FFFD") {
  for (uint32_t value = 0; value < 0x110000; ++value) {
    if (value >= 0xD800 && value < 0xE000) continue;
    std::string text;
    append_utf8(text, value);
    const CodePoint read = decode_utf8(text, 0);
    const bool same = read.value == value && read.length == text.size();
    if (!same) FAIL("U+" << std::hex << value);
  }
  for (const std::string bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xE4\xBD", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    CAPTURE(bad.size());
    CHECK(decode_utf8(bad, 0).value == 0xFFFD);
    CHECK(decode_utf8(bad, 0).length == 1);
  }
}

TEST_CASE("utf8: only a sequence that may still become complete is held back") {
  CHECK(complete_utf8("") == 0);
  CHECK(complete_utf8("abc") == 3);
  CHECK(complete_utf8("ab\xC3") == 2);
  CHECK(complete_utf8("ab\xC3\xA9") == 4);
  CHECK(complete_utf8("a\xF0\x9F\x98") == 1);
  CHECK(complete_utf8("a\xF0\x9F\x98\x80") == 5);
  CHECK(complete_utf8("a\xE0\x80") == 3);  // overlong: can never become complete
  CHECK(complete_utf8("a\x80\x80\x80\x80") == 5);
}

TEST_CASE("utf8: what is made visible stays on its line and between its quotation marks") {
  CHECK(visible("Zoë said \"hi\"\n") == "Zoë said \\\"hi\\\"\\n");
  CHECK(visible("\\\x01\x7f\xc3") == "\\\\\\x01\\x7f\\xc3");
  CHECK(visible("\xef\xbf\xbd") == "\xef\xbf\xbd");  // U+FFFD itself
}

TEST_CASE("utf8: what is no UTF-8 is shown as U+FFFD, and nothing else changes") {
  CHECK(well_formed("Zoë \xe4\xbd\xa0\n") == "Zoë \xe4\xbd\xa0\n");
  CHECK(well_formed("a\xc3") == "a\xef\xbf\xbd");
  CHECK(well_formed("\x80z") == "\xef\xbf\xbdz");
}

TEST_CASE("pretokenize: the pieces of GPT-2's regular expression") {
  CHECK(pieces("").empty());
  CHECK(pieces("Hello, world") == Pieces{"Hello", ",", " world"});
  CHECK(pieces("it's we'll DON'T 's") == Pieces{"it", "'s", " we", "'ll", " DON", "'", "T", " '", "s"});
  CHECK(pieces("'re've'm'd'l'") == Pieces{"'re", "'ve", "'m", "'d", "'", "l", "'"});
  CHECK(pieces("'''s") == Pieces{"'''", "s"});
  CHECK(pieces("a  b   c ") == Pieces{"a", " ", " b", "  ", " c", " "});
  CHECK(pieces("a\n\nb\t c") == Pieces{"a", "\n", "\n", "b", "\t", " c"});
  CHECK(pieces("  \n") == Pieces{"  \n"});
  CHECK(pieces("a \u0085b\v c") == Pieces{"a", " ", "\u0085", "b", "\v", " c"});
  CHECK(pieces("x1y22!?") == Pieces{"x", "1", "y", "22", "!?"});
  CHECK(pieces("a\u00a0\u00a0b") == Pieces{"a", "\u00a0", "\u00a0", "b"});
  CHECK(pieces("\u4f60\u597d\u3002\u00bd\u0663e\u0301") ==
        Pieces{"\u4f60\u597d", "\u3002", "\u00bd\u0663", "e", "\u0301"});
  CHECK(pieces(" \U0001f600\u200d!x") == Pieces{" \U0001f600\u200d!", "x"});
  CHECK(pieces("a\xFF\xC3!b") == Pieces{"a", "\xFF\xC3!", "b"});  // invalid bytes are symbols
  CHECK(pieces("\U0001e5d0a\U00016130"
               "1") == Pieces{"\U0001e5d0a",
                              "\U00016130"
                              "1"});  // letter, digit of Unicode 16
}

TEST_CASE("pretokenize: text may be cut at every safe cut") {
  const std::string text = fable + "  two  spaces\n\n\nlines 'tis 's\u00a0\u3000x \xFF y" + fable;
  const Pieces whole = pieces(text);
  int cuts = 0;
  for (size_t from = 0; from < text.size(); ++from) {
    const size_t cut = safe_cut(text, from);
    REQUIRE(cut >= from);
    Pieces parts = pieces(std::string_view(text).substr(0, cut));
    for (const std::string& piece : pieces(std::string_view(text).substr(cut))) parts.push_back(piece);
    CHECK(parts == whole);
    cuts += cut < text.size();
  }
  CHECK(cuts > 100);
  CHECK(safe_cut("abc", 0) == 3);
}

TEST_CASE("byte alphabet: a bijection that spells a space as U+0120") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  CHECK(from_printable(to_printable(all)) == all);
  CHECK(to_printable(" the\n") == "\u0120the\u010a");
  CHECK_FALSE(from_printable("a b").has_value());
  CHECK_FALSE(from_printable("\u0144").has_value());
  CHECK(bytes_in_alphabet_order()[0] == '!');
  CHECK(bytes_in_alphabet_order()[220] == ' ');  // as in GPT-2
}

TEST_CASE("bpe: encoding follows the definition, in short words and long ones") {
  const Tokenizer tokenizer = train_bpe(fable, 330);
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string text;
    const size_t length = random() % 90;
    while (text.size() < length) text += "aehn cr.sT"[random() % (i % 2 == 0 ? 4 : 10)];
    REQUIRE(tokenizer.encode(text) == encode_by_definition(tokenizer, text));
    REQUIRE(tokenizer.encode(text) == tokenizer.encode(text));  // now from the cache
  }
  CHECK(tokenizer.encode(fable) == encode_by_definition(tokenizer, fable));
}

TEST_CASE("bpe: words are remembered, more and more of them, until there are too many") {
  const Tokenizer tokenizer = train_bpe(fable, 330);
  // In a thread of its own, whose memory is small at first. The second time a text of few words is all
  // remembered, most of it from before there was room for the rest.
  bool right = true;
  std::thread([&] {
    for (const int words : {3000, 40000}) {
      std::vector<int32_t> expected;
      std::string text;
      for (int i = 0; i < words; ++i) {
        const std::string word = fmt::format(" h{}", i);
        text += word;
        const std::vector<int32_t> ids = encode_by_definition(tokenizer, word);
        expected.insert(expected.end(), ids.begin(), ids.end());
      }
      for (int time = 0; time < 2; ++time) right = right && tokenizer.encode(text) == expected;
    }
  }).join();
  CHECK(right);
}

TEST_CASE("bpe: decode(encode(x)) is x for any bytes") {
  const Tokenizer tokenizer = train_bpe(fable, 400);
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const std::string bytes = random_bytes(random, random() % 200, i % 3 == 0 ? 256 : i % 3 == 1 ? 128 : 64);
    REQUIRE(tokenizer.decode(tokenizer.encode(bytes)) == bytes);
    REQUIRE(tokenizer.decode(tokenizer.encode(bytes, SpecialTokens::recognise)) == bytes);
  }
}

TEST_CASE("bpe: special tokens are read as such only when asked") {
  const Tokenizer tokenizer = train_bpe(fable, 300);
  const int32_t end = tokenizer.end_of_text();
  CHECK(end == tokenizer.vocabulary_size() - 1);
  CHECK(tokenizer.token_bytes(end) == "<|endoftext|>");
  CHECK(tokenizer.is_special(end));
  CHECK_FALSE(tokenizer.is_special(0));
  const std::string text = "<|endoftext|>fox<|endoftext|><|endoftext|> <|endoftext";
  const std::vector<int32_t> plain = tokenizer.encode(text);
  CHECK(std::count(plain.begin(), plain.end(), end) == 0);
  CHECK(tokenizer.decode(plain) == text);
  std::vector<int32_t> expected{end};
  tokenizer.encode_append("fox", SpecialTokens::as_text, expected);
  expected.insert(expected.end(), {end, end});
  tokenizer.encode_append(" <|endoftext", SpecialTokens::as_text, expected);
  CHECK(tokenizer.encode(text, SpecialTokens::recognise) == expected);
}

TEST_CASE("bpe: of special tokens that begin alike the longest is read") {
  std::vector<std::string> tokens;
  for (const uint8_t byte : bytes_in_alphabet_order()) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.insert(tokens.end(), {"<a>", "<a><b>", "<b>"});
  const Tokenizer tokenizer(tokens, {}, {258, 256, 257});
  CHECK(tokenizer.encode("<a><a><b><b>", SpecialTokens::recognise) == std::vector<int32_t>{256, 257, 258});
  CHECK_THROWS_WITH_AS(tokenizer.end_of_text(), "tokenizer: it has no token <|endoftext|>", Error);
}

TEST_CASE("bpe: a megabyte without a space takes linear time, nearly") {
  const Tokenizer tokenizer = train_bpe(fable, 400);
  std::mt19937 random(3);
  std::string word;
  while (word.size() < 1 << 20) word += "aehnrst"[random() % 7];
  const auto begin = std::chrono::steady_clock::now();
  CHECK(tokenizer.decode(tokenizer.encode(word)) == word);
  CHECK(std::chrono::steady_clock::now() - begin <
        std::chrono::seconds(20));  // about 0.2 s; squared it would be an hour
}

TEST_CASE("bpe: threads share a tokenizer, and a thread may change tokenizers") {
  const Tokenizer first = train_bpe(fable, 300), second = train_bpe(fable, 400);
  const std::vector<int32_t> expected_first = first.encode(fable), expected_second = second.encode(fable);
  CHECK(expected_first != expected_second);
  std::vector<int> failures(4);
  std::vector<std::thread> threads;
  for (int& count : failures) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i)
        count += first.encode(fable) != expected_first || second.encode(fable) != expected_second;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == std::vector<int>{0, 0, 0, 0});
}

TEST_CASE("bpe: a stream shows whole characters only, and all of them in the end") {
  const Tokenizer tokenizer = train_bpe("no merges", 257);  // every byte is a token
  StreamDecoder stream(tokenizer);
  const std::string text = "a\u00e9\U0001f600!";
  Pieces shown;
  for (const int32_t id : tokenizer.encode(text)) shown.push_back(stream.push(id));
  CHECK(shown == Pieces{"a", "", "\u00e9", "", "", "", "\U0001f600", "!"});
  CHECK(stream.finish() == "");
  for (const int32_t id : tokenizer.encode("x\xF0\x9F")) stream.push(id);
  CHECK(stream.finish() == "\xF0\x9F");
  CHECK(stream.finish() == "");
  CHECK_THROWS_AS(stream.push(-1), Error);
}

TEST_CASE("bpe: ids outside the vocabulary are an error") {
  const Tokenizer tokenizer = train_bpe(fable, 300);
  CHECK_THROWS_WITH_AS(tokenizer.decode(std::vector<int32_t>{300}),
                       "tokenizer: token 300 is outside the vocabulary of 300", Error);
  CHECK_THROWS_AS(tokenizer.token_bytes(-1), Error);
}

TEST_CASE("bpe: the hash tells tokenizers apart") {
  const Tokenizer tokenizer = train_bpe(fable, 300);
  CHECK(tokenizer.hash().size() == 16);
  CHECK(tokenizer.hash() == train_bpe(fable, 300).hash());
  CHECK(tokenizer.hash() != train_bpe(fable, 301).hash());
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < tokenizer.vocabulary_size(); ++id) tokens.emplace_back(tokenizer.token_bytes(id));
  auto merges = tokenizer.merges();
  CHECK(Tokenizer(tokens, merges, tokenizer.special_ids()).hash() == tokenizer.hash());
  std::swap(merges[0], merges[1]);
  CHECK(Tokenizer(tokens, merges, tokenizer.special_ids()).hash() != tokenizer.hash());
}

TEST_CASE("bpe: learning follows the definition") {
  const std::string many_ties = "aaaa abab aaab baab abba bbbb babab aabba aaaaa<|endoftext|>aabb abaaba";
  for (const std::string& text : {fable, many_ties}) {
    for (const size_t merges : {1, 10, 60, 200}) {
      const Tokenizer tokenizer = train_bpe(text, static_cast<int64_t>(257 + merges));
      CHECK(tokenizer.merges() == learn_by_definition(text, tokenizer.merges().size()));
    }
  }
}

TEST_CASE("bpe: learning stops when every word is one token") {
  const Tokenizer tokenizer = train_bpe("low lower", 65536);
  CHECK(tokenizer.vocabulary_size() < 280);
  CHECK(tokenizer.encode("low lower").size() == 2);
  CHECK(train_bpe("", 1000).vocabulary_size() == 257);
  CHECK(train_bpe("<|endoftext|><|endoftext|>", 1000).vocabulary_size() == 257);
}

TEST_CASE("bpe: learning gives the same result on any number of threads") {
  std::string text;
  for (int i = 0; i < 50; ++i) text += fable + std::to_string(i * i * i);
  const Tokenizer one = train_bpe(text, 500, 1);
  for (const int threads : {2, 3, 8, 64}) CHECK(train_bpe(text, 500, threads).hash() == one.hash());
  CHECK(train_bpe("nowhere-to-cut", 260, 8).hash() == train_bpe("nowhere-to-cut", 260, 1).hash());
  WordCounts counts;
  const size_t cut = safe_cut(text, text.size() / 2);
  counts.add(std::string_view(text).substr(0, cut), 2);
  counts.add(std::string_view(text).substr(cut), 2);
  CHECK(train_bpe(counts, 500).hash() == one.hash());
}

TEST_CASE("bpe: impossible vocabularies are refused") {
  CHECK_THROWS_WITH_AS(
      train_bpe(fable, 256),
      "tokenizer: a vocabulary of 256 tokens; it must have 257 (the bytes and <|endoftext|>) to 65536 "
      "(ids are stored in 16 bits)",
      Error);
  CHECK_THROWS_AS(train_bpe(fable, 65537), Error);
  CHECK_THROWS_AS(train_bpe(fable, 300, 0), Error);
  CHECK(train_bpe(fable, 257).merges().empty());
}
