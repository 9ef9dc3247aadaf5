// Pieces of a source file, found by name: what chapters quote and exercises cut.
//
//   fn:layer_norm_backward     a function with the comment above it; fn:LayerNorm::parts tells members apart,
//   fn:softmax(const Tensor&   and the beginning of its parameters tells overloads apart
//   struct:Node                a struct, class, union or enum
//   test:ticks are round       a TEST_CASE, by the beginning of its name
//   statistics                 what stands between `// region: statistics` and `// endregion`
//
// C++ is read only as far as that takes: comments and strings are skipped, brackets are matched, and bodies
// of functions are not looked into.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace chapbook {

struct Source {
  std::string path, text;  // the path from the root of the repository, for error messages
};

// Bytes [begin, end) are whole lines. Bytes [body, body_end) are what stands between the braces; of a region,
// all of it; of a function that is only declared, nothing.
struct Piece {
  size_t begin = 0, end = 0, body = 0, body_end = 0;
};

// A definition is preferred to a declaration. Throws where nothing has that name, or several things have.
Piece find_piece(const Source& source, std::string_view name);

// All that has a name in a file, those inside types too: "fn:chapbook::twice(int x)" and "struct:...".
struct NamedPiece {
  std::string name;
  Piece piece;
};
std::vector<NamedPiece> named_pieces(const Source& source);

// The lines of a piece as they are quoted: without the marker comments of regions, and moved to the left.
// `numbers`, if given, receives the number of each line in the file, counted from 1.
std::vector<std::string> quoted_lines(const Source& source, const Piece& piece,
                                      std::vector<int>* numbers = nullptr);

// The same bytes with comments, strings, characters and preprocessor lines blanked.
std::string code_only(const std::string& text);

// Whether a line is the beginning or the end of a region, in // or # comments.
bool is_region_marker(std::string_view line);

std::vector<std::string> split_lines(std::string_view text);

}  // namespace chapbook
