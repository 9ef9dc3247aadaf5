// Words that a tokenizer is to have as one token each, added to one that exists.
#pragma once
#include <string>
#include <vector>

#include "data/bpe.h"

namespace chapbook {

// The same tokenizer with these words, written as they begin a text ("fox") or stand inside it (" fox"). The
// parts that a word now has are merged from the left, by merges that come after all others, so it is the same
// in every program that knows merges; parts of parts become tokens, too. Old tokens keep their ids. Only
// texts change in which such parts are neighbours. A word of one token is passed over; what the pre-tokenizer
// cuts is refused.
Tokenizer with_words(const Tokenizer& tokenizer, const std::vector<std::string>& words);

// The lines of a file, without empty ones, each as it stands inside a text: with a space before it.
std::vector<std::string> read_words(const std::string& path);

}  // namespace chapbook
