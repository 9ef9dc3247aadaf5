// GPT-2's pre-tokenizer: cuts text into the pieces ("words") that byte-pair merges never cross.
// The pieces are those of this regular expression, found by a state machine instead of a regex engine:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// A word carries the one space before it. Of several spaces before a word the last goes with the word.
// A byte that is not valid UTF-8 counts as U+FFFD, a symbol; the piece keeps the byte itself.
#pragma once
#include <cstddef>
#include <string_view>

namespace chapbook {

// The end of the piece that starts at byte `begin` < text.size(), where `begin` is 0 or the end of another
// piece.
size_t piece_end(std::string_view text, size_t begin);

// The first position at or after `from` where the text may be cut in two so that each part alone gives the
// pieces it gives in the whole text: before ASCII white space that follows another ASCII character.
// text.size() if there is none. It never falls inside <|endoftext|>, nor inside a code point.
size_t safe_cut(std::string_view text, size_t from);

}  // namespace chapbook
