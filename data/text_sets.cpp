#include "data/text_sets.h"

#include "tensor/check.h"

namespace chapbook {

// The addresses name a revision, so that the bytes behind them do not change. Sizes and hashes of TinyStories
// are those that Hugging Face publishes for the revision (Git LFS), as many public programs that pin these
// files repeat them alike: bytes 2227753162 and 6418d412... of V2's train.txt, for one. They were not fetched
// from there when this was written. Of TinyStories-Instruct only rounded sizes are public knowledge (2.66 GB
// and 26.9 MB), so there the server's own hash is what is compared.
#define STORIES \
  "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/f54c09fd23315a6f9c86f9dc80f725de7d8f9c64/"
#define INSTRUCT                                                            \
  "https://huggingface.co/datasets/roneneldan/TinyStoriesInstruct/resolve/" \
  "ee050ed1f8720795be342921335e821856a2b42e/"
#define SHAKESPEARE                                                                                    \
  "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/" \
  "tinyshakespeare/"

// clang-format off
const std::vector<TextSet>& text_sets() {
  static const std::vector<TextSet> sets = {
      {"tinystories", "2.7 million stories told by GPT-4", "CDLA-Sharing-1.0", "https://huggingface.co/datasets/roneneldan/TinyStories",
       {STORIES "TinyStoriesV2-GPT4-train.txt", 2227753162, "6418d412de72888f52b5142c761ac21a582f7d1166f0bfbdb5f03ccfdec90443"},
       {STORIES "TinyStoriesV2-GPT4-valid.txt", 22502601, "6874bae9a4c1a4e7edcf0e53b86c17817e9cf881fc75ff2368da457b80c0585d"}},
      {"tinystories-v1", "2.1 million stories told by GPT-3.5 and GPT-4", "CDLA-Sharing-1.0", "https://huggingface.co/datasets/roneneldan/TinyStories",
       {STORIES "TinyStories-train.txt", 1924281556, "c5cf5e22ff13614e830afbe61a99fbcbe8bcb7dd72252b989fa1117a368d401f"},
       {STORIES "TinyStories-valid.txt", 19447282, "94e431816c4cce81ff71e4408ff8d3bda9a42e8d2663986697c3954288cb38b4"}},
      {"tinystories-instruct", "stories with what they were asked to be", "CDLA-Sharing-1.0", "https://huggingface.co/datasets/roneneldan/TinyStoriesInstruct",
       {INSTRUCT "TinyStories-Instruct-train.txt"},
       {INSTRUCT "TinyStories-Instruct-valid.txt"}},
      {"shakespeare", "a megabyte of Shakespeare's plays", "public domain", "https://github.com/karpathy/char-rnn",
       {SHAKESPEARE "input.txt", 1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
       {}},
  };
  return sets;
}
// clang-format on

const TextSet* text_set(const std::string& name) {
  for (const TextSet& set : text_sets())
    if (set.name == name) return &set;
  return nullptr;
}

std::string RemoteFile::name() const {
  const size_t host = url.find("://");
  check(host != std::string::npos, "'{}' is no address: it has no https://", url);
  const std::string path = url.substr(0, url.find_first_of("?#", host + 3));
  const size_t slash = path.rfind('/');
  check(slash > host + 2 && slash + 1 < path.size(), "'{}' is no address of a file: it ends in no name", url);
  return path.substr(slash + 1);
}

}  // namespace chapbook
