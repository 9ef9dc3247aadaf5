// Pages of the book, and the blocks in them that the tool writes:
//
//   <!-- code: tensor/reference/norm.cpp#fn:layer_norm|1-9,12 -->    a quote; source.h says what a piece is
//   called
//   <!-- out: demo/NAME ARGUMENTS|1-9 -->, <!-- out: chapbook ... -->  what a program prints; `|exit 2` where
//   it fails
//   <!-- val: docs/results/x.json#values.error|.1e -->               a number in a sentence
//   <!-- fig: NAME docs/results/x.json -->                           a picture and its caption
//   <!-- list: chapters -->                                          a list that the repository itself gives
//
// each up to its <!-- /code -->, <!-- /out --> and so on. Markers in fenced text or in `back quotes` are
// text. What an author tells the tool without a block: <!-- explains: FILES -->, <!-- unquoted: FILE#PIECE |
// reason -->, and what a sentence says of its numbers, <!-- claim: docs/results/x.json#values.a < 2 *
// values.b -->.
#pragma once
#include <string>
#include <vector>

namespace chapbook {

struct Page {
  std::string path, text;  // the path from the root of the repository
};

struct PageBlock {
  std::string kind, argument;
  int line = 0;  // of the opening comment
  size_t begin = 0,
         end = 0;  // bytes between the opening and the closing comment; empty for explains, unquoted, claim
};

// What is wrong with a page, and where.
struct Problem {
  std::string path;
  int line;
  std::string text;
};

std::vector<PageBlock> find_blocks(const Page& page, std::vector<Problem>& problems);

// The lines of a page, each with whether it is inside a fence (or is one), for those who read its prose.
struct ProseLine {
  std::string text;
  bool fenced = false;
};
std::vector<ProseLine> prose_lines(const std::string& text);

// A line without what stands in `back quotes`: the same length, with spaces there.
std::string without_code_spans(const std::string& line);

}  // namespace chapbook
