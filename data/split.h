// Text files as stories: reading one story after another with little memory, and deciding which side of the
// training and validation split a story belongs to. That decision looks at the story alone, so a story that
// occurs twice in the data, in any file, is never on both sides.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

namespace chapbook {

inline constexpr std::string_view story_separator =
    "<|endoftext|>";  // ends a story in a text file, and is a token

// A longer story is handed over in pieces of at most this many bytes, each cut before white space (or else
// between two UTF-8 characters). A book without separators is thus many pieces, enough of them to be split.
inline constexpr size_t max_story_bytes = size_t{1} << 14;

// Called with each piece of text and whether it ends its story. The text is only valid during the call.
using StorySink = std::function<void(std::string_view text, bool ends_story)>;

// The file itself, or the .txt files of a directory in the order of their names. Throws Error when there is
// none.
std::vector<std::filesystem::path> text_files(const std::filesystem::path& path);

// The sum of their sizes in bytes, for progress.
int64_t text_size(const std::filesystem::path& path);

// Reads a text file or a directory of .txt files. A story ends at <|endoftext|>, which mostly has a line to
// itself, and at the end of a file. Its bytes are handed over unchanged, CR LF included, except that white
// space around the story is dropped, and with it empty stories. Throws Error for a path that cannot be read
// and for text without any story.
void read_stories(const std::filesystem::path& path, const StorySink& sink);

// A hash of the story that sees any run of white space as one space.
uint64_t story_hash(std::string_view story);

// True for about `fraction` (0 .. 1) of all stories. Stories equal but for white space have equal answers.
bool in_validation(std::string_view story, double fraction);
bool in_validation(uint64_t story_hash, double fraction);

}  // namespace chapbook
