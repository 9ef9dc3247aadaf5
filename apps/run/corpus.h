// From text to token files: a directory with train.bin, valid.bin (each with its .json), tokenizer/, and what
// is in the text (text_facts.h). The text is read twice, a block of some megabytes at a time: once to look at
// it, once to encode it. Beyond the blocks, what is kept of it are its different words, and 16 bytes a story
// to know it again. A preparation that is killed leaves nothing that is taken for token files; the next one
// starts from the beginning.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "apps/run/text_facts.h"
#include "data/bpe.h"
#include "data/split.h"
#include "data/token_file.h"

namespace chapbook {

// Where stories come from. `read` may be called again and gives the same stories.
struct TextSource {
  std::string name;   // shown, and stored with the tokens: a path, or "built-in stories"
  int64_t bytes = 0;  // about, for progress
  std::function<void(const StorySink&)> read;
  std::shared_ptr<const Text> text = {};  // unless it is built in
};
TextSource text_source(const std::string& path);  // a text file, or a directory of them
TextSource built_in_source(int64_t stories, uint64_t seed);

constexpr double usual_valid_share = 0.02;
struct PrepareOptions {
  TextSource train;
  TextSource valid = {};  // when empty, whole stories of `train` are set aside, or the end of a book
  double valid_share = usual_valid_share;  // and this is about how much of it
  std::string tokenizer = {};  // directory or tokenizer.json to use; when empty, one is learned from `train`
  int64_t vocabulary = 2048;   // of the tokenizer to learn; fewer if the text has no more to merge
  std::string directory;       // created if needed; older files in it are replaced
  bool drop_duplicates = false;  // leave out stories that came before, on the same side; else only count them
  bool repair = false;           // mend mojibake; else it is only counted
};
struct Prepared {
  TokenFileInfo train, valid;
  TextFacts train_facts = {}, valid_facts = {};
};
Prepared prepare(const PrepareOptions& options);

// The words of all stories that `take` accepts, as a tokenizer of at most `vocabulary` tokens.
Tokenizer learn_tokenizer(
    const TextSource& source, int64_t vocabulary,
    const std::function<bool(std::string_view)>& take = [](std::string_view) { return true; });

// Throws unless a tokenizer can have that many tokens.
void check_vocabulary(int64_t size);

}  // namespace chapbook
